"""Seals on files that go by hand: who wrote them, and that nobody changed them on the way.

    NAME.seal    JSON: {"certificate": PEM, "said": text, "signature": hex}; the signature is ECDSA
                 with SHA-256 (FIPS 186-5) over the bytes of `said`, by the certificate's key;
                 `said` is JSON again: {"by", "made_ns", "files": {file name: SHA-256 in hex}}

A seal is as good as the certificate in it: it is under the plant's authority, as on the wire.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.model.errors import UsageError
from isthmus.wire import tls
from isthmus.wire.tls import Peer, Role

SUFFIX: Final = ".seal"
_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())


class Said(msgspec.Struct, frozen=True):
    """What a seal says."""

    by: str
    made_ns: int
    files: dict[str, str]


class _Sealed(msgspec.Struct, frozen=True):
    certificate: str
    said: str
    signature: str


class Seal(NamedTuple):
    """A seal that holds, and whose it is."""

    path: Path
    peer: Peer
    said: Said


def put(folder: Path, tls_folder: Path, names: Sequence[str]) -> Path:
    """Seal these files of `folder` as the owner of `tls_folder`; files of an earlier seal of the same owner stay in it.

    Raises UsageError when the owner has no certificate, OSError when the folder is full.
    """
    peer = tls.own(tls_folder)
    path = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', peer.name)}{SUFFIX}"
    files = {name: _digest(folder / name) for name in [*_before(path, tls_folder), *names] if (folder / name).exists()}
    said = msgspec.json.encode(Said(peer.name, time.time_ns(), files))
    signature = tls.load_key(tls_folder / "own.key").sign(said, _ALGORITHM)
    pem = (tls_folder / "own.pem").read_text()
    tls.write(path, msgspec.json.encode(_Sealed(pem, said.decode(), signature.hex())))
    return path


def held(folder: Path, tls_folder: Path, role: Role) -> list[Seal]:
    """The seals in `folder` by machines of that role, each verified against the plant's authority in `tls_folder`.

    Raises UsageError for one that does not hold.
    """
    found = [_opened(path, tls_folder) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    return [each for each in found if tls.may_be(each.peer, role)]


def fits(seal: Seal, path: Path) -> bool:
    """Whether this very content stands under the seal."""
    return seal.said.files.get(path.name) == _digest(path)


def _before(path: Path, tls_folder: Path) -> list[str]:
    """The files of an earlier seal that are as they were."""
    try:
        earlier = _opened(path, tls_folder)
    except UsageError:
        return []
    return [name for name in earlier.said.files if (path.parent / name).exists() and fits(earlier, path.parent / name)]


def _opened(path: Path, tls_folder: Path) -> Seal:
    try:
        sealed = msgspec.json.decode(path.read_bytes(), type=_Sealed)
        said = msgspec.json.decode(sealed.said, type=Said)
        peer = tls.peer_of_pem(sealed.certificate)
        authority = x509.load_pem_x509_certificate((tls_folder / "ca.pem").read_bytes())
        peer.certificate.verify_directly_issued_by(authority)
        tls.public_key(peer.certificate).verify(bytes.fromhex(sealed.signature), sealed.said.encode(), _ALGORITHM)
    except OSError as error:
        msg = f"{error.filename} cannot be read ({error.strerror})"
        raise UsageError(msg) from None
    except (msgspec.MsgspecError, ValueError, TypeError, IndexError, InvalidSignature) as error:
        why = str(error) or "its signature is not of this plant"
        msg = (
            f"{path} does not hold: {why}. Somebody else wrote it or changed it; carry it again from the machine itself"
        )
        raise UsageError(msg) from None
    return Seal(path, peer, said)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
