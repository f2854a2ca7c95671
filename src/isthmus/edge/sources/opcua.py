"""OPC UA: subscribes to a server's variables, or reads them in turns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

from msgspec import Meta

from isthmus.edge.opcua_client import limits as server_limits
from isthmus.edge.opcua_client import nodes
from isthmus.edge.opcua_client.identity import identify
from isthmus.edge.opcua_client.limits import Make
from isthmus.edge.opcua_client.link import Access, Memory, first_to_end, linked
from isthmus.edge.opcua_client.reading import Item, Plan, Reading
from isthmus.edge.opcua_client.security import Mode, Policy
from isthmus.edge.source import Identity, Limits, Seconds, Sink, SourceSection, Tag, TagFound
from isthmus.model.samples import ValueKind
from isthmus.model.time import NS_PER_S

NotNegative = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[float, Meta(ge=0)]
Reference = Annotated[str, Meta(pattern=r"^((env|file):.+)?$")]


class OpcuaTag(Tag, frozen=True, kw_only=True):
    """One variable of an OPC UA server."""

    node: Annotated[
        str,
        Meta(
            pattern=r"^(Objects(/.+)?|(ns=\d+;|nsu=[^;]+;)?[isgb]=.+)$",
            description="browse names from the root, Objects/Machines/CNC1/Monitoring/Execution, which outlive a new "
            "download of the controller; or a node id, nsu=http://maker/plc;s=DB1.Speed or ns=3;i=1001",
        ),
    ]
    index: Annotated[
        NotNegative | None, Meta(description="which element of an array, counted from 0; none for a single value")
    ] = None
    sampling_ms: Annotated[
        Milliseconds | None, Meta(description="how often the server looks at it, ms; none takes the source's")
    ] = None
    rate_hz: Annotated[
        float,
        Meta(
            ge=0,
            description="of a waveform: readings a second, 25600; its array is one burst, stamped at its first reading",
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        if (self.kind is ValueKind.WAVEFORM) != (self.rate_hz > 0):
            msg = f"{self.name}: kind = 'waveform' and rate_hz go together; the server does not say how fast its array was sampled"
            raise ValueError(msg)


class Opcua(SourceSection, frozen=True, kw_only=True, tag="opcua", dict=True):
    """Reads an OPC UA server, by default signed and encrypted.

    Write `url` and the tags. At the first try the connection is refused with the fingerprint of the
    server's certificate; compare it with the server's own display and write it as
    `server_certificate`. Most servers then ask you to accept the edge's certificate, once.

    The server samples each tag every `sampling_ms`, keeps up to `queue` values and sends them every
    `publishing_ms`. A value that the tag's kind cannot hold (an array, a structure, text in a
    number) is a Bad sample, and the connections page names the type; a tag of kind str takes any
    value, arrays and structures as JSON.
    """

    schemes: ClassVar[tuple[str, ...]] = ("opc.tcp",)
    has_waveforms: ClassVar[bool] = True

    url: Annotated[str, Meta(pattern=r"^opc\.tcp://[^/\s]+(/\S*)?$", description="opc.tcp://host:4840/path")]
    tags: Annotated[tuple[OpcuaTag, ...], Meta(description="[[source.tags]]: the variables to read")] = ()
    security: Annotated[
        Policy,
        Meta(
            description="Basic256Sha256, Aes128_Sha256_RsaOaep, Aes256_Sha256_RsaPss, or none, which is readable by anyone"
        ),
    ] = "Basic256Sha256"
    mode: Annotated[Mode, Meta(description="SignAndEncrypt or Sign")] = "SignAndEncrypt"
    server_certificate: Annotated[
        str,
        Meta(
            pattern=r"^((sha256:)?[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31})?$",
            description="SHA-256 fingerprint of the server's certificate, approved by a person",
        ),
    ] = ""
    user: Annotated[str, Meta(description="user name at the server; none logs in as nobody")] = ""
    password: Annotated[
        Reference, Meta(description="where the password stands, env:NAME or file:PATH; never the password itself")
    ] = ""
    user_certificate: Annotated[
        Path | None, Meta(description="log in with this certificate, DER or PEM, instead of a password")
    ] = None
    user_key: Annotated[Path | None, Meta(description="private key of `user_certificate`, PEM")] = None
    certificates: Annotated[
        Path, Meta(description="folder of the edge's own OPC UA certificate, made there on first use")
    ] = Path("var/edge/tls/opcua")
    publishing_ms: Annotated[float, Meta(ge=10, description="how often the server sends what has changed, ms")] = 500.0
    sampling_ms: Annotated[
        Milliseconds | None,
        Meta(description="how often the server looks at a value, ms; none is half of publishing_ms"),
    ] = None
    queue: Annotated[
        int, Meta(ge=0, description="values that the server keeps of a tag between two sendings; 0 finds it by itself")
    ] = 0
    poll_s: Annotated[
        float, Meta(ge=0, description="read in turns this often, s, for a server without subscriptions; 0 subscribes")
    ] = 0.0
    server_deadband: Annotated[
        bool, Meta(description="true lets the server hold back changes within a tag's deadband, where it can")
    ] = False
    make: Annotated[
        Make,
        Meta(description="whose limits hold: auto asks the server; s7-1200, s7-1500, kepware, ignition, prosys, other"),
    ] = "auto"
    timeout_s: Annotated[Seconds, Meta(description="how long an answer, or a sign of life, may take, s")] = 4.0

    async def identify(self) -> Identity:
        """Ask for the nameplates of machines and devices, the build information, the namespaces and the endpoints."""
        return await identify(self._access, self._memory.link)

    async def browse(self, pattern: str) -> AsyncIterator[TagFound]:
        """Variables whose path of browse names matches, level by level below Objects."""
        async with linked(self._access) as link:
            known = await server_limits.ask(link, self.make, 0)
            async for found in nodes.find(link, pattern, known.per_browse):
                yield found

    def plan(self, tags: Sequence[OpcuaTag], limits: Limits) -> Plan:
        """Each tag as a monitored item; how many fit a request is known when the server has been asked."""
        items = []
        for position, tag in enumerate(tags):
            sampling = next(
                (ms for ms in (tag.sampling_ms, self.sampling_ms) if ms is not None), self.publishing_ms / 2
            )
            items.append(
                Item(
                    tag=position,
                    node=tag.node,
                    kind=tag.kind,
                    index=tag.index,
                    sampling_ms=sampling,
                    queue=self.queue or _queue(self.publishing_ms, sampling),
                    deadband=tag.deadband if self.server_deadband else 0.0,
                    interval_ns=NS_PER_S / tag.rate_hz if tag.rate_hz else 0.0,
                )
            )
        return Plan(
            items=tuple(items),
            publishing_ms=self.publishing_ms,
            poll_s=self.poll_s,
            per_request=limits.per_request,
            most_items=limits.items,
        )

    async def run(self, plan: Plan, sink: Sink) -> None:
        """Connect, look up the nodes, subscribe and deliver until the server is away."""
        memory = self._memory
        if not (memory.reading and memory.reading.is_of(plan)):
            memory.kept = memory.reading = None
        async with linked(self._access, None if plan.poll_s else memory) as link:
            with memory.holding(link):
                if link.resumed:
                    reading: Reading = memory.reading
                    await reading.resume(link, sink)
                else:
                    known = await server_limits.ask(link, self.make, plan.per_request)
                    found = await nodes.resolve(link, [item.node for item in plan.items], known.per_browse)
                    reading = Reading(link, plan, known, sink)
                    await reading.begin(found)
                    memory.reading = reading
                sink.up(address=self.url, security=self._access.security_in_words)
                more = (reading.refresh(),) if link.resumed else ()
                await first_to_end(link.renew(), reading.go_on(), *more)

    @cached_property
    def _memory(self) -> Memory:
        """The session that was cut off, for the next run; nothing that a plan or a value depends on."""
        return Memory()

    @property
    def _access(self) -> Access:
        return Access(
            name=self.name,
            url=self.url,
            timeout_s=self.timeout_s,
            security=self.security,
            mode=self.mode,
            server_certificate=self.server_certificate,
            user=self.user,
            password=self.password,
            user_certificate=self.user_certificate,
            user_key=self.user_key,
            certificates=self.certificates,
        )


def _queue(publishing_ms: float, sampling_ms: float) -> int:
    """Values that fit into three sendings: a late one then costs nothing. At least ten, for a server that tells changes at once."""
    return max(10, int(3 * publishing_ms / sampling_ms) + 1 if sampling_ms else 0)
