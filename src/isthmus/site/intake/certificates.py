"""Who may dial this site: enrols edges with one-time codes, renews their certificates, warns in time.

    <data>/tls/enrolled.json     name to {role, serials, since}; an edge that is not in it is refused
               codes.json        hash of a code's secret to {name, role, ends}; a used code is gone

A code is `SECRET.FINGERPRINT`: the fingerprint is that of the plant's authority, so the very first
contact cannot be led to a false site; the secret opens the door once, within a day.
"""

from __future__ import annotations

import fcntl
import secrets
from base64 import b32encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.model.errors import UsageError
from isthmus.model.records import Record
from isthmus.model.records.site import CertificateExpiring
from isthmus.model.time import NS_PER_S, from_datetime
from isthmus.wire import tls
from isthmus.wire.link import Enrolled
from isthmus.wire.tls import Peer, Role

BY_HAND: Final = "carried-by-hand"
"""The site's own hand at its own door, for what a person carried there; no machine can be enrolled so."""
CODE_HOURS: Final = 24
ALARM_DAYS: Final = 30
"""A certificate that ends sooner than this, and was not renewed, is told once a day."""
_SERIALS: Final = 3


class Member(msgspec.Struct):
    """One edge or relay that may dial."""

    role: Role
    serials: list[str]
    since_ns: int
    edges: tuple[str, ...] = ()
    """Of a relay: the edges that stand behind it, for whose sources it may speak."""


class Code(msgspec.Struct):
    """A one-time code that was given out and not used."""

    name: str
    role: Role
    ends_ns: int
    edges: tuple[str, ...] = ()


class Certificates:
    """The site's authority and register, in its `tls` folder; the commands use the same files."""

    def __init__(
        self, folder: Path, plant: str, conduit: str = "uplink", tell: Callable[[Record], None] = lambda _: None
    ) -> None:
        self.folder = folder
        self._plant, self._path, self._tell = plant, f"{plant}#conduit/{conduit}", tell
        self._alarmed: dict[str, int] = {}

    def prepare(self, hosts: Sequence[str] = ()) -> None:
        """Make the plant's authority and the site's own certificate where they lack or are due."""
        tls.make_authority(self.folder, self._plant)
        tls.make_own(self.folder, f"{self._plant} site", "site", hosts)

    def look_after(self) -> None:
        """Renew the site's own certificate when due, and tell of one that ends; called now and then."""
        tls.make_own(self.folder, f"{self._plant} site", "site")
        self._warn("site", tls.own(self.folder))

    def new_code(self, name: str, role: Role = "edge", edges: Sequence[str] = ()) -> str:
        """A code by which one machine may enrol as `name`; a relay stands for `edges`. Raises UsageError."""
        if name == BY_HAND:
            msg = f"{BY_HAND} is the site's own name for what people carry; call the machine something else"
            raise UsageError(msg)
        secret = b32encode(secrets.token_bytes(10)).decode()
        ends = datetime.now(UTC) + timedelta(hours=CODE_HOURS)
        with self._changing("codes.json", Code) as codes:
            codes[_hash(secret)] = Code(name, role, from_datetime(ends), tuple(edges))
        return f"{secret}.{tls.fingerprint((self.folder / 'ca.pem').read_bytes())}"

    def enrol(self, secret: str, request: str) -> Enrolled:
        """Use up a code. Raises UsageError when it is not good, ValueError when the request is not."""
        key = tls.request_key(request.encode())
        with self._changing("codes.json", Code) as codes:
            code = codes.pop(_hash(secret), None)
        if code is None or code.ends_ns < from_datetime(datetime.now(UTC)):
            msg = "this code was used before, or is older than a day; make a new one with `isthmus enrol code`"
            raise UsageError(msg)
        return self.admit(code.name, code.role, key, edges=code.edges)

    def admit(
        self,
        name: str,
        role: Role,
        key: ec.EllipticCurvePublicKey,
        *,
        hosts: Sequence[str] = (),
        edges: Sequence[str] = (),
    ) -> Enrolled:
        """Certify a key and enter it in the register."""
        pem = tls.sign(self.folder, name, role, key, hosts=hosts).decode()
        self._enter(name, role, pem, tuple(edges))
        return Enrolled(name, pem, (self.folder / "ca.pem").read_text())

    def enrol_here(self, edge_tls: Path, name: str) -> None:
        """Enrol an edge on the same machine, without a code; a certificate that still serves is kept."""
        known = name in self.members()
        if known and (edge_tls / "own.pem").exists() and not tls.is_due(tls.own(edge_tls)):
            return
        key = ec.generate_private_key(ec.SECP256R1())
        enrolled = self.admit(name, "edge", key.public_key())
        tls.write_key(edge_tls / "own.key", key)
        tls.save_enrolled(edge_tls, enrolled.certificate, enrolled.ca)

    def members(self) -> dict[str, Member]:
        """Everyone who may dial, by name."""
        return self._load("enrolled.json", Member)

    def remove(self, name: str) -> bool:
        """Let `name` dial no more; False when nobody is called so."""
        with self._changing("enrolled.json", Member) as members:
            return members.pop(name, None) is not None

    def refusal(self, peer: Peer | None) -> str:
        """Why this peer may not send frames, in words; "" when it may."""
        if peer is None:
            return "no certificate was shown; enrol this machine with `isthmus enrol edge`"
        member = self.members().get(peer.name)
        if member is None or f"{peer.serial:x}" not in member.serials:
            return f"{peer.name} is not enrolled here, or was removed; enrol it again with a new code"
        late = datetime.now(UTC) - peer.ends
        if late > timedelta(days=tls.OVERLAP_DAYS):
            return f"the certificate of {peer.name} ended {late.days} days ago; enrol it again with a new code"
        return ""

    def renewal(self, peer: Peer) -> str:
        """A renewed certificate where one is due, PEM, else ""; an expiry that came close is told."""
        if not tls.is_due(peer):
            return ""
        self._warn(peer.name, peer)
        member = self.members()[peer.name]
        pem = tls.renewed(self.folder, peer, member.role)
        self._enter(peer.name, member.role, pem, member.edges)
        return pem

    def _warn(self, subject: str, peer: Peer) -> None:
        now = datetime.now(UTC)
        if peer.ends - now > timedelta(days=ALARM_DAYS):
            return
        now_ns = from_datetime(now)
        if now_ns - self._alarmed.get(subject, 0) > 86_400 * NS_PER_S:
            self._alarmed[subject] = now_ns
            ends_ns = from_datetime(peer.ends)
            self._tell(CertificateExpiring(path=self._path, time_ns=now_ns, subject=subject, ends_ns=ends_ns))

    def _enter(self, name: str, role: Role, pem: str, edges: tuple[str, ...] = ()) -> None:
        serial = f"{tls.peer_of_pem(pem).serial:x}"
        with self._changing("enrolled.json", Member) as members:
            before = members[name].serials if name in members else []
            since_ns = from_datetime(datetime.now(UTC))
            members[name] = Member(role, [*before, serial][-_SERIALS:], since_ns, edges)

    def _load(self, file: str, kind: type[Any]) -> dict[str, Any]:
        try:
            return msgspec.json.decode((self.folder / file).read_bytes(), type=dict[str, kind])  # type: ignore[valid-type]
        except FileNotFoundError:
            return {}
        except msgspec.MsgspecError as error:
            msg = f"{self.folder / file} cannot be read ({error}); put back a copy, or remove it and enrol anew"
            raise UsageError(msg) from error

    @contextmanager
    def _changing(self, file: str, kind: type[Any]) -> Iterator[dict[str, Any]]:
        """The file's content, written back afterwards; commands and the running site wait for each other."""
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = self._load(file, kind)
            yield held
            new = self.folder / f".{file}"
            new.write_bytes(msgspec.json.encode(held))
            new.chmod(0o600)
            new.replace(self.folder / file)


def _hash(secret: str) -> str:
    return sha256(secret.strip().upper().encode()).hexdigest()
