"""Agents' XML, read with the expat of the standard library: no DOCTYPE, no entities of its own, no tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from xml.parsers import expat

from isthmus.model import time as clock


class NotMtconnect(Exception):
    """The bytes are no document of an MTConnect agent, or one that must not be trusted."""


class AgentError(Exception):
    """The agent answered with an MTConnectError document."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(f"{text} ({code})" if text else code)


class Header(NamedTuple):
    """The first element of each document: which life of which agent, and what its buffer holds."""

    instance: int
    created: str
    sender: str
    version: str
    first_sequence: int
    next_sequence: int


def local(name: str) -> str:
    """An element's name without its prefix."""
    return name.rpartition(":")[2]


def header(attributes: Mapping[str, str]) -> Header:
    """Raises NotMtconnect when a number is none."""
    try:
        return Header(
            instance=int(attributes.get("instanceId", 0)),
            created=attributes.get("creationTime", ""),
            sender=attributes.get("sender", ""),
            version=attributes.get("version", ""),
            first_sequence=int(attributes.get("firstSequence", 0)),
            next_sequence=int(attributes.get("nextSequence", 0)),
        )
    except ValueError as error:
        msg = f"its Header cannot be read: {error}"
        raise NotMtconnect(msg) from error


def parse(
    document: bytes,
    root: str,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None],
    text: Callable[[str], None],
) -> Header:
    """Drive the handlers through a document of one root element and give its Header.

    Raises AgentError for an MTConnectError document, NotMtconnect for anything else.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    state = _Prologue(parser, root, start, end, text)
    parser.StartElementHandler = state.first
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(document, True)  # noqa: FBT003  expat's own signature
    except expat.ExpatError as error:
        msg = f"it is no whole XML document: {error}"
        raise NotMtconnect(msg) from error
    if state.error is not None:
        raise AgentError(state.error, state.said.strip())
    if state.header is None:
        msg = f"its {root} document has no Header"
        raise NotMtconnect(msg)
    return state.header


class _Prologue:
    """Reads the root, the Header and errors, then hands the parser over to the caller's own handlers."""

    def __init__(self, parser: expat.XMLParserType, root: str, *handlers: Any) -> None:  # noqa: ANN401  see parse
        self._parser = parser
        self._root = root
        self._handlers = handlers
        self.header: Header | None = None
        self.error: str | None = None
        self.said = ""

    def first(self, name: str, _: dict[str, str]) -> None:
        name = local(name)
        if name == "MTConnectError":
            self._parser.StartElementHandler = self.failed
            return
        if name != self._root:
            msg = f"it begins with {name[:40]} where {self._root} is expected"
            raise NotMtconnect(msg)
        self._parser.StartElementHandler = self.second

    def second(self, name: str, attributes: dict[str, str]) -> None:
        if local(name) == "Header":
            self.header = header(attributes)
            parser = self._parser
            parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = self._handlers

    def failed(self, _: str, attributes: dict[str, str]) -> None:
        if "errorCode" in attributes and self.error is None:
            self.error = attributes["errorCode"]
            self._parser.CharacterDataHandler = self.hear

    def hear(self, text: str) -> None:
        self.said += text


def _refuse_doctype(*_: object) -> None:
    msg = "it has a DOCTYPE, which no agent sends"
    raise NotMtconnect(msg)


class Clock:
    """Timestamps to ns, exactly; the whole seconds of the last one are kept, since neighbours share them."""

    def __init__(self) -> None:
        self._seconds = ""
        self._ns = 0

    def read(self, text: str) -> int:
        """ISO 8601 with up to nine decimals; without a zone it is UTC, as the standard says. Raises NotMtconnect."""
        head, fraction = text[:19], text[20:-1]
        if text[-1:] == "Z" and text[19:20] == "." and fraction.isdecimal():
            if head != self._seconds:
                self._ns, self._seconds = _slowly(head + "Z"), head
            return self._ns + int(fraction[:9].ljust(9, "0"))
        return _slowly(text)


def _slowly(text: str) -> int:
    moment = text.partition("@")[0]  # statistics append their duration
    zoned = moment if moment[-1:] == "Z" or "+" in moment[10:] or "-" in moment[10:] else moment + "Z"
    try:
        return clock.parse(zoned)
    except ValueError as error:
        msg = f"a timestamp reads {text[:40]!r}"
        raise NotMtconnect(msg) from error
