"""The official agent's documents, and our own agent's beside them, parse to exactly what is in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from isthmus.edge.mtconnect_client import devices
from isthmus.edge.mtconnect_client.multipart import Parts, boundary
from isthmus.edge.mtconnect_client.streams import Chunk, Reader, Streams
from isthmus.edge.mtconnect_client.xml import AgentError, Clock, NotMtconnect
from isthmus.model import status as st
from isthmus.model import time as clock
from isthmus.model.samples import ValueKind
from isthmus.sim.servers.mtconnect_agent import Agent, Component, Device, Item

OFFICIAL = pytest.mark.data("mtconnect")


def document(*observations: str, header: str = "") -> bytes:
    head = header or 'instanceId="7" creationTime="2026-11-22T07:41:34Z" nextSequence="9" firstSequence="1"'
    return f"<MTConnectStreams><Header {head}/><Streams>{''.join(observations)}</Streams></MTConnectStreams>".encode()


def seen(element: str, text: str = "", *, at: str = "2026-11-22T07:41:34.1Z", item: str = "a", **more: str) -> str:
    attributes = "".join(f' {name}="{value}"' for name, value in more.items())
    return f'<{element} dataItemId="{item}" timestamp="{at}" sequence="1"{attributes}>{text}</{element}>'


def rows(chunk: Chunk) -> list[tuple[int, int, int, Any]]:
    return [
        (row["tag"], row["time_ns"], row["status"], row["value"])
        for batch in chunk.batches
        for row in batch.to_pylist()
    ]


def read(text: str, kind: str, **how: Any) -> tuple[int, Any]:  # noqa: ANN401  fields of a reader
    chunk = Streams({"a": [Reader(0, ValueKind(kind), **how)]}, {}).read(document(seen("Thing", text)))
    ((_, _, status, value),) = rows(chunk)
    assert (status == st.BAD_TYPE_MISMATCH) == (0 in chunk.mismatched)
    return status, value


@OFFICIAL
def test_the_official_probe_has_these_data_items(data: Path) -> None:
    probe = devices.read((data / "mtconnect" / "probe.xml").read_bytes())
    assert Counter(item.category for item in probe.items) == {"EVENT": 104, "SAMPLE": 85, "CONDITION": 31}
    assert [device.name for device in probe.devices] == ["OKUMA", "Mazak"]
    assert probe.devices[:1] == (
        devices.Device(name="OKUMA", uuid="OKUMA.123456", maker="OKUMA", model="MULT_U3000", serial="123456"),
    )
    assert (probe.header.instance, probe.header.version, probe.header.sender) == (1795333264, "1.4.0.12", "vm")
    item = devices.Directory(probe.items).find("LS1cmd")
    assert (item.name, item.type, item.sub_type, item.units) == (
        "S1cmd",
        "ROTARY_VELOCITY",
        "PROGRAMMED",
        "REVOLUTION/MINUTE",
    )
    assert item.kind is ValueKind.F64


@OFFICIAL
def test_every_official_data_item_is_found_by_its_path(data: Path) -> None:
    probe = devices.read((data / "mtconnect" / "probe.xml").read_bytes())
    directory = devices.Directory(probe.items)
    assert len(directory.by_path) == 220
    for path, item in directory.by_path.items():
        assert directory.find(path) == item, path
        assert directory.find(item.id) == item
    assert directory.find("Device/Axes/Rotary[C6]/ROTARY_VELOCITY.ACTUAL").id == "LS6speed"
    with pytest.raises(LookupError, match=r"means 2 data items \(LS1speed, Srpm\); write the id of one"):
        directory.find("Device/Axes/Rotary[C1]/ROTARY_VELOCITY.ACTUAL")


@OFFICIAL
@pytest.mark.parametrize(
    ("name", "observations", "sequences"), [("current", 220, (1, 29433)), ("sample", 10_000, (1, 12_000))]
)
def test_every_official_observation_arrives_with_its_time_and_value(
    data: Path, name: str, observations: int, sequences: tuple[int, int]
) -> None:
    probe = devices.read((data / "mtconnect" / "probe.xml").read_bytes())
    text = (data / "mtconnect" / f"{name}.xml").read_bytes()
    wanted = {item.id: [Reader(number, item.kind)] for number, item in enumerate(probe.items)}
    chunk = Streams(wanted, {}).read(text)
    assert (chunk.header.first_sequence, chunk.header.next_sequence) == sequences
    assert chunk.mismatched == {}
    got: dict[int, list[tuple[int, int, Any]]] = defaultdict(list)
    for tag, time_ns, status, value in rows(chunk):
        got[tag].append((time_ns, status, value))
    assert sum(map(len, got.values())) == observations
    told: dict[str, list[ET.Element]] = defaultdict(list)
    for element in ET.fromstring(text).iter():  # noqa: S314  the official documents
        if "dataItemId" in element.attrib:
            told[element.attrib["dataItemId"]].append(element)
    for number, item in enumerate(probe.items):
        assert got.get(number, []) == [expected(item, element) for element in told.get(item.id, [])], item.id


def expected(item: devices.DataItem, element: ET.Element) -> tuple[int, int, Any]:
    """The same by another parser and plain words."""
    at, word, text = (
        clock.parse(element.attrib["timestamp"]),
        element.tag.rpartition("}")[2],
        (element.text or "").strip(),
    )
    if word == "Unavailable" or text == "UNAVAILABLE":
        return at, st.BAD_NO_DATA, None
    if word in ("Normal", "Warning", "Fault"):
        assert word == "Normal", "the official log has no other"
        return at, st.GOOD, "NORMAL"
    if item.kind is ValueKind.STR:
        return at, st.GOOD, text
    if not text:
        return at, st.BAD_NO_DATA, None
    return at, st.GOOD, int(text) if item.kind is ValueKind.I64 else float(text)


@OFFICIAL
def test_spot_values_of_the_official_log(data: Path) -> None:
    text = (data / "mtconnect" / "current.xml").read_bytes()
    wanted = {
        "Lp1LPathPos": [Reader(0, ValueKind.STR), Reader(1, ValueKind.F64, part=2)],
        "pathpos": [Reader(2, ValueKind.F64)],
    }
    assert sorted(rows(Streams(wanted, {}).read(text))) == [
        (0, clock.parse("2026-11-22T07:41:34.771336Z"), st.GOOD, "25.2 0 3.9451"),
        (1, clock.parse("2026-11-22T07:41:34.771336Z"), st.GOOD, 3.9451),
        (2, clock.parse("2026-11-22T07:41:04.780678Z"), st.BAD_NO_DATA, None),
    ]


def shape(xml: bytes) -> set[tuple[str, str, frozenset[str]]]:
    """Which elements stand in which, and which attributes every one of them has, without the schema's address."""
    out: dict[tuple[str, str], set[str]] = {}

    def walk(above: str, element: ET.Element) -> None:
        name = element.tag.rpartition("}")[2]
        names = {key for key in element.attrib if "}" not in key}
        out[above, name] = out.get((above, name), names) & names
        for child in element:
            walk(name, child)

    walk("", ET.fromstring(xml))  # noqa: S314  documents of the tests
    return {(above, name, frozenset(names)) for (above, name), names in out.items()}


@OFFICIAL
@pytest.mark.parametrize("verb", ["probe", "current", "sample"])
def test_our_agents_documents_have_the_shape_of_the_official_agents(data: Path, verb: str) -> None:
    machine = Device(
        id="d", name="OKUMA", manufacturer="OKUMA", model="M", serial="1",
        items=(Item(id="avail", category="EVENT", type="AVAILABILITY", name="avail"),),
        components=(
            Component(kind="Axes", id="axes", name="base", components=(
                Component(kind="Rotary", id="C", name="C", items=(
                    Item(id="t", category="SAMPLE", type="TEMPERATURE", units="CELSIUS", name="t"),
                    Item(id="cond", category="CONDITION", type="SYSTEM", name="s"),
                )),
            )),
        ),
    )  # fmt: skip
    agent = Agent(machine)
    agent.update("t", 31.5, 1_790_000_000_000_000_007)
    official = {(above, name): names for above, name, names in shape((data / "mtconnect" / f"{verb}.xml").read_bytes())}
    observed = {"Availability", "Temperature", "Normal", "Unavailable"}
    for above, name, names in shape(agent._document(verb, (machine,), {})):
        if name not in observed or (above, name) in official:
            assert (above, name) in official, (above, name)
            assert official[above, name] - {"nativeName"} <= names, (above, name)


@pytest.mark.parametrize(
    ("text", "kind", "how", "status", "value"),
    [
        ("12.5", "f64", {}, st.GOOD, 12.5),
        ("1.5E3", "f64", {}, st.GOOD, 1500.0),
        ("9007199254740993", "i64", {}, st.GOOD, 9007199254740993),
        ("12.0", "i64", {}, st.GOOD, 12),
        ("12.5", "i64", {}, st.BAD_TYPE_MISMATCH, None),
        ("9223372036854775808", "i64", {}, st.BAD_OUT_OF_RANGE, None),
        ("ACTIVE", "str", {}, st.GOOD, "ACTIVE"),
        ("ACTIVE", "f64", {}, st.BAD_TYPE_MISMATCH, None),
        ("UNAVAILABLE", "f64", {}, st.BAD_NO_DATA, None),
        ("UNAVAILABLE", "str", {}, st.BAD_NO_DATA, None),
        ("NaN", "f64", {}, st.BAD_NO_DATA, None),
        ("", "f64", {}, st.BAD_NO_DATA, None),
        ("", "str", {}, st.GOOD, ""),
        ("1 2 3", "f64", {"part": 1}, st.GOOD, 2.0),
        ("1 2 3", "f64", {}, st.BAD_TYPE_MISMATCH, None),
        ("1 2", "f64", {"part": 2}, st.BAD_TYPE_MISMATCH, None),
        ("a &amp; &lt;b&gt;", "str", {}, st.GOOD, "a & <b>"),
        ("<Entry key='x'>1</Entry><Entry key='y'><Cell key='p'>2</Cell></Entry>", "str", {}, st.GOOD, '{"x": "1", "y": {"p": "2"}}'),
    ],
)  # fmt: skip
def test_a_text_becomes_a_value_of_its_tag_or_says_why_not(
    text: str, kind: str, how: dict[str, int], status: int, value: object
) -> None:
    got = read(text, kind, **how)
    assert got == (status, value)
    assert type(got[1]) is type(value)


CODES = [
    (seen("Normal"), "NORMAL", "NORMAL", ""),
    (seen("Warning", "filter", nativeCode="120"), "WARNING:120 filter", "WARNING", "120"),
    (seen("Fault", "oil", nativeCode="401"), "FAULT:401 oil; WARNING:120 filter", "FAULT", "401; 120"),
    (seen("Normal", nativeCode="401"), "WARNING:120 filter", "WARNING", "120"),
    (seen("Unavailable"), None, None, None),
    (seen("Fault", nativeCode="9"), "FAULT:9", "FAULT", "9"),
    (seen("Warning", nativeCode="9"), "WARNING:9", "WARNING", "9"),
    (seen("Fault"), "FAULT; WARNING:9", "FAULT", "; 9"),
    (seen("Normal"), "NORMAL", "NORMAL", ""),
]


def test_a_condition_tells_everything_that_is_active_worst_first() -> None:
    readers = [Reader(0, ValueKind.STR), Reader(1, ValueKind.STR, form="level"), Reader(2, ValueKind.STR, form="code")]
    streams = Streams({"a": readers}, {})
    for observation, *told in CODES:
        got = rows(streams.read(document(observation)))
        assert [value for *_, value in got] == told
        assert {status for _, _, status, _ in got} == {st.BAD_NO_DATA if told[0] is None else st.GOOD}


def test_a_current_document_says_each_value_at_its_time_and_again_at_its_own() -> None:
    streams = Streams({"a": [Reader(0, ValueKind.F64)], "b": [Reader(1, ValueKind.F64)]}, {})
    old, young = seen("Load", "5", at="2026-11-22T07:00:00.5Z"), seen("Load", "6", at="2026-11-22T07:50:00Z", item="b")
    said = clock.parse("2026-11-22T07:41:34Z")
    first = clock.parse("2026-11-22T07:00:00.5Z")
    later = (1, clock.parse("2026-11-22T07:50:00Z"), st.GOOD, 6.0)
    arrived = said + 600_000_000
    assert rows(streams.read_current(document(old, young), arrived)) == [
        (0, first, st.GOOD, 5.0), later, (0, arrived, st.GOOD, 5.0),
    ]  # fmt: skip
    assert rows(streams.read_current(document(old, young), said + 90_000_000_000)) == [
        (0, first, st.GOOD, 5.0), later, (0, said, st.GOOD, 5.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-11-22T07:41:34.365978Z", 365_978_000),
        ("2026-11-22T07:41:34.000000001Z", 1),
        ("2026-11-22T07:41:34Z", 0),
        ("2026-11-22T07:41:34", 0),
        ("2026-11-22T07:41:34.5@10.0", 500_000_000),
        ("2026-11-22T08:41:34.25+01:00", 250_000_000),
        ("2026-11-22T02:41:34.25-05:00", 250_000_000),
    ],
)
def test_timestamps_are_exact_to_the_nanosecond(text: str, ns: int) -> None:
    assert Clock().read(text) == clock.parse("2026-11-22T07:41:34Z") + ns


@given(some.integers(0, 4_000_000_000 * 10**9))
def test_any_time_that_we_write_is_read_again(time_ns: int) -> None:
    assert Clock().read(clock.iso(time_ns)) == time_ns


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><MTConnectStreams/>", "DOCTYPE"),
        (b"<html><body>hello</body></html>", "begins with html"),
        (b"<MTConnectStreams><Header", "no whole XML"),
        (b"<MTConnectStreams></MTConnectStreams>", "no Header"),
        (b"\x00\xff garbage", "no whole XML"),
        (document(seen("Load", "1", at="yesterday")), "timestamp reads 'yesterday'"),
        (document(header='instanceId="x"'), "Header cannot be read"),
    ],
)
def test_what_no_agent_sends_is_refused_with_its_reason(xml: bytes, says: str) -> None:
    with pytest.raises(NotMtconnect, match=says):
        Streams({"a": [Reader(0, ValueKind.F64)]}, {}).read(xml)


@pytest.mark.parametrize("errors", ["<Errors><Error errorCode='OUT_OF_RANGE'>gone</Error></Errors>", "<Error errorCode='OUT_OF_RANGE'>gone</Error>"])  # fmt: skip
def test_an_agents_error_keeps_its_code_and_words(errors: str) -> None:
    with pytest.raises(AgentError, match="gone") as caught:
        Streams({}, {}).read(f"<MTConnectError><Header instanceId='1'/>{errors}</MTConnectError>".encode())
    assert caught.value.code == "OUT_OF_RANGE"


PARTS = [b"<a/>", b"<b>--edge in a text</b>", b"<c/>" * 50]


def stream_of(*, with_length: bool) -> bytes:
    out = b""
    for part in PARTS:
        length = f"Content-length: {len(part)}\r\n".encode() if with_length else b""
        out += b"--edge\r\nContent-type: text/xml\r\n" + length + b"\r\n" + part + b"\r\n"
    return out + b"--edge\r\n"


@given(some.lists(some.integers(1, 90), max_size=60))
def test_documents_come_out_whole_however_the_stream_is_cut(cuts: list[int]) -> None:
    stream, parts, out, at = stream_of(with_length=True), Parts(b"edge", 1000), [], 0
    for cut in [*cuts, len(stream)]:
        out += parts.feed(stream[at : at + cut])
        at += cut
    assert out == PARTS


def test_a_stream_without_lengths_is_cut_at_its_boundary() -> None:
    stream = stream_of(with_length=False).replace(b"--edge in a text", b"text")
    assert [part.strip() for part in Parts(b"edge", 1000).feed(stream)] == [PARTS[0], b"<b>text</b>", PARTS[2]]


@pytest.mark.parametrize("stream", [b"garbage" * 2, b"\r\n\r\nno boundary", b"--edgy\r\nContent-length: 4\r\n\r\n"])
def test_a_stream_that_is_no_multipart_is_refused(stream: bytes) -> None:
    with pytest.raises(NotMtconnect, match="where a part should begin"):
        Parts(b"edge", 1000).feed(stream)


def test_a_document_beyond_the_limit_is_refused_before_it_fills_the_memory() -> None:
    parts = Parts(b"edge", 1_000_000)
    parts.feed(b"--edge\r\nContent-length: 999999999\r\n\r\n")
    for _ in range(9):
        assert parts.feed(b"x" * 100_000) == []
    with pytest.raises(NotMtconnect, match="larger than 1 MB"):
        parts.feed(b"x" * 200_000)


def test_boundaries_are_read_as_agents_write_them() -> None:
    assert boundary("multipart/x-mixed-replace;boundary=abc") == b"abc"
    assert boundary('multipart/x-mixed-replace; boundary="a b"; charset=utf-8') == b"a b"
    assert boundary("text/xml") is None
