"""NATS JetStream 2.10 or newer, with `sync_interval: always` and three copies.

Three streams: `<stream>_frames`, `<stream>_records`, `<stream>_dictionaries`. Subjects:

    isthmus.frames.acme.northgate.#source.cnc-01
    isthmus.records.StateChanged.acme.northgate.machining.line-a.cnc-01
    isthmus.dictionaries.acme.northgate.#source.cnc-01.<epoch>.<hash>

An older server, and one that syncs when it likes, acknowledges what a power cut takes back: both are
refused. What it keeps to itself is read from its monitoring port (`/varz`). See decision 170.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import httpx
import msgspec
from msgspec import Meta

from isthmus.model.errors import BusAway, BusUnfit, UsageError
from isthmus.model.time import NS_PER_S, to_datetime
from isthmus.site.publish.bus import Bus, BusSection, Delivery, Finding, Lane, Message, words_of
from isthmus.site.secret import secret

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

_OLDEST: Final = (2, 10, 0)
_CLOCKS_APART_S: Final = 300
_SPACE: Final = re.compile(r"[^!-~]|[.*>%]")
_WORD: Final = 200
_SMALL: Final = 1024
_S_PER_DAY: Final = 86_400
_AT_ONCE: Final = 256


class NatsSection(BusSection, frozen=True, kw_only=True, tag="nats"):
    """`[bus] kind = "nats"`: a NATS server or cluster with JetStream."""

    servers: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(nats|tls|wss?)://[^\s/]+$", description="as nats://host:4222")], ...],
        Meta(min_length=1, description="nats:// or tls:// addresses"),
    ]
    monitor: Annotated[
        tuple[str, ...], Meta(description="http addresses of the servers' monitoring ports, where the sync is seen")
    ] = ()
    unchecked: Annotated[
        bool, Meta(description="true takes the servers' word that they sync always, where no monitoring port is open")
    ] = False
    subject: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+$", description="first word of every subject")] = "isthmus"
    stream: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+$", description="what the streams' names begin with")] = (
        "isthmus"
    )
    replicas: Annotated[int, Meta(ge=1, le=5, description="copies of each message, on as many servers")] = 3
    keep_days: Annotated[float, Meta(gt=0, description="how long the bus keeps frames and records, days")] = 7.0
    duplicates_s: Annotated[
        float,
        Meta(ge=120, description="how long the bus remembers ids by itself; we look further back where needed, s"),
    ] = 600.0
    ca: Annotated[Path | None, Meta(description="PEM of the authority behind the servers' certificates")] = None
    certificate: Annotated[Path | None, Meta(description="PEM of our certificate, where servers ask for one")] = None
    key: Annotated[Path | None, Meta(description="PEM of that certificate's key")] = None
    credentials: Annotated[Path | None, Meta(description="a .creds file, where servers ask for one")] = None

    def open(self) -> Bus:
        """A connection, not opened yet. Raises UsageError when nats-py is not installed."""
        try:
            import nats  # noqa: F401, PLC0415  an extra
        except ImportError as error:
            msg = "a bus of NATS needs one more library: pip install 'isthmus[nats]'"
            raise UsageError(msg) from error
        return NatsBus(self)


class NatsBus:
    """One connection to a server or cluster; see site/publish/bus.py."""

    def __init__(self, section: NatsSection) -> None:
        self.section = section
        self._client: Client | None = None
        self._stream: JetStreamContext
        self._subscribed: dict[Lane, JetStreamContext.PullSubscription] = {}

    async def open(self) -> Sequence[Finding]:
        """Connect and check. Raises BusAway; BusUnfit when the server is too old or may forget."""
        from nats.aio.client import Client  # noqa: PLC0415  an extra

        self._client = client = Client()
        with _away(self.section):
            await client.connect(**self._options())
            self._stream = client.jetstream(timeout=self.section.deadline_s)
        found = [*_version(client), *await self._durability()]
        if not any(finding.refused for finding in found):
            with _away(self.section):
                found += [await self._make(lane) for lane in Lane]
        if refused := [finding.what for finding in found if finding.refused]:
            msg = "; ".join(refused)
            raise BusUnfit(msg)
        return found

    async def publish(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Publish at once and wait for every acknowledgement: after the sync of a majority."""
        most = self._connected.max_payload - _SMALL
        large = [message for message in messages if len(message.body) > most]
        rest = [message for message in messages if len(message.body) <= most]
        with _away(self.section):
            outcomes = await asyncio.gather(*(self._publish(message) for message in rest), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
        return large

    async def kept_since(self, lane: Lane, time_ns: int) -> set[str]:
        """The ids of a lane's messages since then, less what clocks may differ by."""
        from nats.js import api  # noqa: PLC0415  an extra

        out: set[str] = set()
        wanted = api.ConsumerConfig(
            deliver_policy=api.DeliverPolicy.BY_START_TIME,
            opt_start_time=to_datetime(max(time_ns - _CLOCKS_APART_S * NS_PER_S, 0)),
            headers_only=True,
            ack_policy=api.AckPolicy.NONE,
            inactive_threshold=60,
        )
        with _away(self.section):
            name = self._name(lane)
            made = await self._stream.add_consumer(name, wanted)
            waiting = made.num_pending or 0
            reading = await self._stream.pull_subscribe_bind(consumer=made.name, stream=name)
            while waiting > 0:
                for message in await reading.fetch(min(waiting, _AT_ONCE), timeout=self.section.deadline_s):
                    waiting -= 1
                    out.add((message.headers or {}).get("Nats-Msg-Id", ""))
            await reading.unsubscribe()
            await self._stream.delete_consumer(name, made.name)
        return out

    async def fetch(self, lane: Lane, most: int, wait_s: float) -> Sequence[Delivery]:
        """The next messages for our reader, whose place the bus remembers by its name."""
        from nats.errors import TimeoutError as NothingCame  # noqa: PLC0415  an extra

        with _away(self.section):
            if lane not in self._subscribed:
                self._subscribed[lane] = await self._reader(lane)
            try:
                found = await self._subscribed[lane].fetch(most, timeout=wait_s)
            except NothingCame:
                if not self._connected.is_connected:
                    raise
                return []
        return [_Delivery(self.section, message) for message in found]

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            with suppress(Exception):  # it is given up whatever it says
                await asyncio.wait_for(self._client.close(), self.section.deadline_s)

    @property
    def _connected(self) -> Client:
        assert self._client is not None  # noqa: S101  `open` comes first
        return self._client

    def _name(self, lane: Lane) -> str:
        return f"{self.section.stream}_{lane}"

    def _options(self) -> dict[str, Any]:
        section = self.section
        options: dict[str, Any] = {
            "servers": list(section.servers),
            "name": "isthmus",
            "connect_timeout": section.deadline_s,
            "max_reconnect_attempts": 1,
            "allow_reconnect": False,  # a connection that broke is given up with all that stood in its queue
            "ping_interval": max(section.deadline_s, 1),
            "error_cb": _silent,
        }
        if section.user:
            options["user"] = section.user
        if section.password:
            options["password"] = secret(section.password, "[bus] password")
        if section.credentials:
            options["user_credentials"] = str(section.credentials)
        if section.ca or section.certificate:
            options["tls"] = _tls(section)
        return options

    async def _publish(self, message: Message) -> None:
        subject = ".".join((self.section.subject, message.lane, *(_escaped(word) for word in message.words)))
        await self._stream.publish(
            subject,
            message.body,
            timeout=self.section.deadline_s,
            stream=self._name(message.lane),
            headers={"Nats-Msg-Id": message.id},
        )

    async def _durability(self) -> list[Finding]:
        """What each server that can be asked says of its version and its sync."""
        section, out = self.section, list[Finding]()
        if section.unchecked:
            return [Finding("whether the servers sync before they acknowledge is taken on trust (unchecked = true)")]
        if not section.monitor:
            mend = "give monitor = ['http://host:8222', ...], or say unchecked = true"
            return [Finding(f"nobody can see whether the servers sync before they acknowledge; {mend}", refused=True)]
        if len(set(section.monitor)) < section.replicas:
            what = f"monitor names {len(set(section.monitor))} of the {section.replicas} servers that keep a copy"
            mend = "name the monitoring port of each, or say unchecked = true"
            return [
                Finding(f"{what}: whether the others sync before they acknowledge nobody can see; {mend}", refused=True)
            ]
        silent = list[Finding]()
        verify = _tls(section) if section.ca else True
        async with httpx.AsyncClient(timeout=section.deadline_s, trust_env=False, verify=verify) as client:
            for address in section.monitor:
                try:
                    answer = (await client.get(f"{address.rstrip('/')}/varz")).raise_for_status().json()
                except (httpx.HTTPError, ValueError):
                    what = f"server {address} does not answer: how it syncs is seen when we connect anew"
                    silent.append(Finding(what))
                    continue
                out += _monitored(address, answer)
        if not out:
            msg = f"no monitoring port of {', '.join(section.monitor)} answers"
            raise BusAway(msg)
        return out + silent

    async def _make(self, lane: Lane) -> Finding:
        """A lane's stream, made when it is not there; one that keeps too few copies is not changed by us."""
        from nats.js import api  # noqa: PLC0415  an extra
        from nats.js.errors import NotFoundError  # noqa: PLC0415  as above

        section, name = self.section, self._name(lane)
        words = lane is Lane.DICTIONARIES
        wanted = api.StreamConfig(
            name=name,
            subjects=[f"{section.subject}.{lane}.>"],
            storage=api.StorageType.FILE,
            num_replicas=section.replicas,
            duplicate_window=section.duplicates_s,
            max_age=0 if words else section.keep_days * _S_PER_DAY,
            max_msgs_per_subject=1 if words else -1,
            discard=api.DiscardPolicy.OLD,
        )
        try:
            found = (await self._stream.stream_info(name)).config
        except NotFoundError:
            found = (await self._stream.add_stream(wanted)).config
        copies = found.num_replicas or 1
        if copies < section.replicas:
            mend = f"nats stream edit {name} --replicas {section.replicas}"
            what = f"stream {name} keeps {copies} of {section.replicas} copies; {mend}"
            return Finding(what, refused=True)
        if found.storage != api.StorageType.FILE:
            return Finding(f"stream {name} keeps its messages in memory; make it anew on disk", refused=True)
        alone = "" if copies > 1 else ": what it holds dies with its one disk"
        return Finding(f"stream {name}: {copies} cop{'ies' if copies > 1 else 'y'}, on disk{alone}")

    async def _reader(self, lane: Lane) -> JetStreamContext.PullSubscription:
        from nats.js import api  # noqa: PLC0415  an extra

        section, name = self.section, f"{self.section.reader}_{lane}"
        paths = [".".join(_escaped(word) for word in words_of(path)) for path in section.read]
        wanted = api.ConsumerConfig(
            durable_name=name,
            filter_subjects=[f"{section.subject}.{lane}.{path}.>" for path in paths],
            ack_policy=api.AckPolicy.EXPLICIT,
            deliver_policy=api.DeliverPolicy.ALL,
            ack_wait=max(4 * section.deadline_s, 30),
            max_ack_pending=4 * _AT_ONCE,
        )
        await self._stream.add_consumer(self._name(lane), wanted)
        return await self._stream.pull_subscribe_bind(consumer=name, stream=self._name(lane))


class _Delivery:
    """One message of a pull consumer."""

    def __init__(self, section: NatsSection, message: Msg) -> None:
        self._section, self._message = section, message
        self.body = message.data

    async def done(self) -> None:
        """Acknowledge, and wait until the bus knows: else it would bring it again."""
        with _away(self._section):
            await self._message.ack_sync(timeout=self._section.deadline_s)

    async def refuse(self) -> None:
        """Never bring it again."""
        with _away(self._section):
            await self._message.term()


class _away:  # noqa: N801  reads as a phrase where it is used
    """What can go wrong on the line, said as BusAway."""

    def __init__(self, section: NatsSection) -> None:
        self._where = ", ".join(section.servers)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import nats.errors  # noqa: PLC0415  an extra

        if isinstance(error, (nats.errors.Error, OSError, TimeoutError, ssl.SSLError, msgspec.DecodeError)):
            said = str(error) or type(error).__name__
            msg = f"NATS at {self._where}: {said}"
            raise BusAway(msg) from error


async def _silent(error: Exception) -> None:
    """The library would print each; we say once that the bus is away, and why."""


def _version(client: Client) -> list[Finding]:
    version = client.connected_server_version
    where = client.connected_url.netloc if client.connected_url else ""
    return [_said(f"server {where}", f"{version.major}.{version.minor}.{version.patch}")]


def _said(where: str, version: str) -> Finding:
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if number < _OLDEST:
        what = f"{where} is NATS {version}, which cannot sync before it acknowledges; it must be 2.10 or newer"
        return Finding(what, refused=True)
    return Finding(f"{where} is NATS {version}")


def _monitored(address: str, answer: dict[str, Any]) -> list[Finding]:
    out = [_said(f"server {address}", str(answer.get("version", "0")))]
    stream = answer.get("jetstream", {}).get("config")
    if stream is None:
        return [*out, Finding(f"server {address} has no JetStream; switch it on", refused=True)]
    if not stream.get("sync_always"):
        every = stream.get("sync_interval")
        lazy = f"every {every / NS_PER_S:,.0f} s" if every else "when it likes"
        what = f"server {address} syncs {lazy}: a power cut takes back what it acknowledged; set sync_interval: always"
        return [*out, Finding(what, refused=True)]
    return [*out, Finding(f"server {address} syncs before it acknowledges")]


def _escaped(word: str) -> str:
    """A word as a token of a subject: what has a meaning there, and all beyond ASCII, as %XX.

    >>> _escaped("cnc 0.1")
    'cnc%200%2E1'
    """
    return _SPACE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), word)[:_WORD] or "%"


def _tls(section: NatsSection) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(section.ca) if section.ca else None)
        if section.certificate:
            context.load_cert_chain(section.certificate, section.key)
    except (OSError, ssl.SSLError) as error:
        msg = f"[bus] ca, certificate or key cannot be read: {error}"
        raise UsageError(msg) from error
    return context
