"""Finds nodes: by node id, by names from the server's root, and all of them by browsing.

A tag's address is either a node id, `ns=3;s=DB1.Speed` or better `nsu=http://maker/plc;s=DB1.Speed`,
or the way of browse names from the root, `Objects/Machines/CNC1/Monitoring/Execution`, in which a
`/` or `&` within a name is written `&/` or `&&` (Part 4, A.2). Names and namespace URIs stay when a
controller is loaded anew; numbers do not. Both are looked up at every connect.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple, TypeVar

from isthmus.edge.opcua_client.link import Link
from isthmus.edge.source import TagFound
from isthmus.model.samples import ValueKind

ROOT, OBJECTS, NAMESPACES = 84, 85, 2255
_DEEPEST: Final = 24
_MOST_NODES: Final = 500_000
_BATCH: Final = 200
_NOT_BELOW: Final = frozenset({36, 45, 48})
"""HasEventSource, HasSubtype, HasNotifier: hierarchical, and not a part of anything."""
_ABOUT_ANOTHER: Final = frozenset(
    {
        "EURange",
        "EngineeringUnits",
        "InstrumentRange",
        "EnumStrings",
        "EnumValues",
        "ValuePrecision",
        "TrueState",
        "FalseState",
        "Definition",
        "InputArguments",
        "OutputArguments",
        "NodeVersion",
        "DefaultInstanceBrowseName",
        "ValueAsText",
    }
)
"""Properties that describe the variable above them."""
_KIND_OF_TYPE: Final[Mapping[int, ValueKind]] = (
    {1: ValueKind.BOOL, 10: ValueKind.F64, 11: ValueKind.F64, 19: ValueKind.I64, 29: ValueKind.I64}
    | dict.fromkeys(range(2, 10), ValueKind.I64)
    | dict.fromkeys((12, 13, 14, 16, 17, 18, 20, 21), ValueKind.STR)
)
"""By the number of the standard's data type; 29 is Enumeration."""


Way = tuple[str, ...]
"""Browse names from the root down."""
Some = TypeVar("Some")


class Child(NamedTuple):
    """One node below another."""

    name: str
    node: Any
    is_variable: bool


def split(path: str) -> Way:
    """The names of a path.

    >>> split("Objects/A&/B/C")
    ('Objects', 'A/B', 'C')
    """
    return tuple(re.sub("&([&/])", r"\1", part) for part in re.findall(r"(?:&.|[^/&])+", path))


def joined(names: Iterable[str]) -> str:
    """The path of some names; the reverse of `split`."""
    return "/".join(re.sub("([&/])", r"&\1", name) for name in names)


def is_path(address: str) -> bool:
    """Whether an address is a way of names rather than a node id."""
    return re.match(r"(nsu?=[^;]*;)?[isgb]=", address) is None


async def resolve(link: Link, addresses: Sequence[str], per_request: int) -> list[Any]:
    """For each address its node id, or a str that says why there is none."""
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    uris = [str(uri) for uri in (await link.read([ua.NodeId(NAMESPACES)]))[0] or ()]
    paths = [split(address) for address in addresses if is_path(address)]
    known = await _walk(link, paths, per_request) if paths else {}
    return [known[split(address)] if is_path(address) else _node_id(address, uris) for address in addresses]


def _node_id(address: str, uris: Sequence[str]) -> Any:  # noqa: ANN401  a node id or a reason
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    text = address
    if address.startswith("nsu="):
        uri, _, rest = address.removeprefix("nsu=").partition(";")
        if uri not in uris:
            return f"the server has no namespace {uri}; it has {', '.join(uris)}"
        text = f"ns={uris.index(uri)};{rest}"
    try:
        return ua.NodeId.from_string(text)
    except (ua.UaError, ValueError):
        return f"{address} is no node id; write ns=3;s=Name, ns=3;i=1001 or a path Objects/..."


async def _walk(link: Link, paths: Sequence[Way], per_request: int) -> dict[Way, Any]:
    """Go down all paths together, one level at a time, so that many paths cost few requests."""
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    found: dict[Way, Any] = {(): ua.NodeId(ROOT)}
    for depth in range(max(len(path) for path in paths)):
        wanted = {path[: depth + 1] for path in paths if len(path) > depth}
        above = [way for way in {way[:-1] for way in wanted} if not isinstance(found[way], str)]
        below: dict[Way, list[Child]] = dict(zip(above, [[] for _ in above], strict=True))
        below |= {
            way: children async for way, children in browse_each(link, [(w, found[w]) for w in above], per_request)
        }
        by_name = {way: _by_name(children) for way, children in below.items()}
        for way in wanted:
            found[way] = found[way[:-1]] if way[:-1] not in by_name else _pick(way, by_name[way[:-1]])
    return found


def _by_name(children: Iterable[Child]) -> dict[str, list[Any]]:
    names: dict[str, list[Any]] = {}
    for child in children:
        if child.node not in names.setdefault(child.name, []):
            names[child.name].append(child.node)
    return names


def _pick(way: Way, names: Mapping[str, Sequence[Any]]) -> Any:  # noqa: ANN401  a node id or a reason
    nodes = names.get(way[-1], ())
    if len(nodes) == 1:
        return nodes[0]
    if nodes:
        return f"{joined(way)} names {len(nodes)} nodes; write its node id instead"
    there = ", ".join(sorted(names)[:8]) + (", ..." if len(names) > 8 else "")  # noqa: PLR2004  a line's worth
    return f"the server has no {way[-1]!r} below {joined(way[:-1]) or 'its root'}; there is {there or 'nothing'}"


async def browse_each(
    link: Link, nodes: Sequence[tuple[Some, Any]], per_request: int
) -> AsyncIterator[tuple[Some, list[Child]]]:
    """What stands below each node, in batches."""
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    for batch in batches(nodes, min(per_request or _BATCH, _BATCH)):
        parameters = ua.BrowseParameters(NodesToBrowse=[_below(node) for _, node in batch])
        results = await link.session.browse(parameters)
        for (key, _), result in zip(batch, results, strict=True):
            references = list(result.References or ())
            point = result.ContinuationPoint
            while point:
                more = (await link.session.browse_next(ua.BrowseNextParameters(ContinuationPoints=[point])))[0]
                references += more.References or ()
                point = more.ContinuationPoint
            yield key, [child for child in map(_child, references) if child is not None]


def _below(node: Any) -> Any:  # noqa: ANN401  asyncua has no types
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
        IncludeSubtypes=True,
        NodeClassMask=ua.NodeClass.Object | ua.NodeClass.Variable,
        ResultMask=ua.BrowseResultMask.BrowseName | ua.BrowseResultMask.NodeClass | ua.BrowseResultMask.ReferenceTypeId,
    )


def _child(reference: Any) -> Child | None:  # noqa: ANN401  asyncua has no types
    kind = reference.ReferenceTypeId
    if (kind.NamespaceIndex == 0 and kind.Identifier in _NOT_BELOW) or getattr(reference.NodeId, "ServerIndex", 0):
        return None
    return Child(reference.BrowseName.Name or "", _plain(reference.NodeId), reference.NodeClass.value == 2)  # noqa: PLR2004


def _plain(node: Any) -> Any:  # noqa: ANN401  asyncua has no types
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    return ua.NodeId(node.Identifier, node.NamespaceIndex, node.NodeIdType)


def batches(things: Sequence[Some], size: int) -> Iterator[Sequence[Some]]:
    """The things in groups of at most `size`; 0 means all in one."""
    step = size or max(len(things), 1)
    return (things[i : i + step] for i in range(0, len(things), step))


async def find(link: Link, pattern: str, per_request: int) -> AsyncIterator[TagFound]:
    """Every variable whose path matches, level by level; a level's signals come as soon as they are known.

    The server's own diagnostics are left out unless the pattern begins with them.
    """
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    start = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    types = _Types(link)
    level: list[tuple[Way, Any, bool]] = [(("Objects",), ua.NodeId(OBJECTS), False)]
    seen = {ua.NodeId(OBJECTS)}
    for _ in range(_DEEPEST):
        after: list[tuple[Way, Any, bool]] = []
        for batch in batches(level, per_request or _BATCH):
            units: dict[Way, Any] = {}
            variables = [(way, node) for way, node, is_variable in batch if is_variable]
            async for way, children in browse_each(link, [(way, node) for way, node, _ in batch], per_request):
                for child in children:
                    if child.name == "EngineeringUnits":
                        units[way] = child.node
                    below = (*way, child.name)
                    if child.node in seen or child.name in _ABOUT_ANOTHER or not _leads(below, start):
                        continue
                    seen.add(child.node)
                    after.append((below, child.node, child.is_variable))
            matching = [(way, node) for way, node in variables if fnmatchcase(joined(way), pattern)]
            for found in await _described(link, types, matching, units):
                yield found
            await asyncio.sleep(0)
        level = after
        if not level or len(seen) > _MOST_NODES:
            return


def _leads(way: Way, start: str) -> bool:
    """Whether something below this way may begin with `start`."""
    path = joined(way)
    if way == ("Objects", "Server") and not start.startswith("Objects/Server"):
        return False
    return path.startswith(start) or start.startswith(path)


async def _described(
    link: Link, types: _Types, variables: Sequence[tuple[Way, Any]], units: Mapping[Way, Any]
) -> list[TagFound]:
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    nodes = [node for _, node in variables]
    data_types = await link.read(nodes, ua.AttributeIds.DataType)
    ranks = await link.read(nodes, ua.AttributeIds.ValueRank)
    texts = await link.read(nodes, ua.AttributeIds.Description)
    wanted = [way for way, _ in variables if way in units]
    unit_of = dict(zip(wanted, await link.read([units[way] for way in wanted]), strict=True))
    out = []
    for (way, _), data_type, rank, text in zip(variables, data_types, ranks, texts, strict=True):
        unit = getattr(getattr(unit_of.get(way), "DisplayName", None), "Text", None) or ""
        kind = await types.kind(data_type) if (rank is None or rank < 0) else None
        path = joined(way)
        description = getattr(text, "Text", None) or ""
        out.append(TagFound(path=path, address={"node": path}, kind=kind, unit=unit, description=description))
    return out


class _Types:
    """Which kind of tag holds a data type; asks the server once for each type that is not the standard's."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._known: dict[Any, ValueKind | None] = {}

    async def kind(self, data_type: Any) -> ValueKind | None:  # noqa: ANN401  asyncua has no types
        from asyncua import ua  # noqa: PLC0415  heavy; see the package

        if data_type is None:
            return None
        way = []
        while data_type not in self._known:
            way.append(data_type)
            if data_type.NamespaceIndex == 0 and data_type.Identifier in _KIND_OF_TYPE:
                self._known[data_type] = _KIND_OF_TYPE[data_type.Identifier]
                break
            up = ua.BrowseDescription(
                NodeId=data_type,
                BrowseDirection=ua.BrowseDirection.Inverse,
                ReferenceTypeId=ua.NodeId(ua.ObjectIds.HasSubtype),
                IncludeSubtypes=False,
                NodeClassMask=0,
                ResultMask=0,
            )
            found = await self._link.session.browse(ua.BrowseParameters(NodesToBrowse=[up]))
            if not found[0].References or len(way) > _DEEPEST:
                self._known[data_type] = None
                break
            data_type = _plain(found[0].References[0].NodeId)
        for one in way:
            self._known[one] = self._known[data_type]
        return self._known[data_type]
