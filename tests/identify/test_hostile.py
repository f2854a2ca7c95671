"""Devices that answer garbage, too much, too slowly or for ever cost bounded time and memory, and one connection."""

from __future__ import annotations

import socket
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from devices import approved, asked, device, modbus_answer
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.edge.identify import line
from isthmus.edge.identify import round as round_
from isthmus.edge.identify.protocols import askings
from isthmus.edge.identify.talk import NoRoom

MORE: dict[str, dict[str, Any]] = {"ethernet-ip": {"slots": tuple(range(7))}, "snmp": {"community": "public"}}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "ANSWER_S", 0.2)
    monkeypatch.setattr(line, "CLOSE_S", 0.2)


def drip(sock: socket.socket, data: bytes) -> None:
    """An answer byte by byte, never whole in time."""
    for byte in modbus_answer(data):
        sock.sendall(bytes((byte,)))
        time.sleep(0.1)


def endless(sock: socket.socket, data: bytes) -> None:
    """A sound answer and then more, for as long as anybody listens."""
    sock.sendall(modbus_answer(data) + bytes(1000))
    end = time.monotonic() + 5
    with suppress(OSError):
        while time.monotonic() < end:
            sock.sendall(bytes(65_536))


def broken_off(sock: socket.socket, data: bytes) -> None:  # noqa: ARG001  whatever was asked
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


MISBEHAVING: dict[str, tuple[Callable[[socket.socket, bytes], None], str]] = {
    "silent": (lambda _sock, _data: None, "does not answer"),
    "slow": (drip, "does not answer"),
    "endless": (endless, "more than was asked for"),
    "broken off": (broken_off, "broke off"),
    "closed": (lambda sock, _data: sock.shutdown(socket.SHUT_WR), "broke off"),
    "garbage": (lambda sock, _data: sock.sendall(b"\xff" * 600), "makes no sense"),
    "zeros": (lambda sock, _data: sock.sendall(bytes(600)), "makes no sense"),
    "too long a promise": (lambda sock, data: sock.sendall(data[:4] + b"\xff\xff"), "makes no sense"),
    "another's answer": (lambda sock, data: sock.sendall(b"\x77" + modbus_answer(data)[1:]), "another request"),
    "a write confirmed": (lambda sock, data: sock.sendall(data[:4] + b"\0\6\1\6\0\1\0\1"), "another request"),
}


@pytest.mark.parametrize("how", MISBEHAVING)
def test_a_device_that_misbehaves_is_a_failure_in_words_and_in_time(how: str, tmp_path: Path) -> None:
    answer, why = MISBEHAVING[how]
    begun = time.monotonic()
    with device(answer) as port:
        (visit,) = asked(tmp_path, approved(port))
        took = time.monotonic() - begun
    assert (visit.outcome, visit.requests) == ("failed", 1)
    assert why in visit.why
    assert took < 3


def test_a_device_that_sends_for_ever_costs_little_memory_and_disk(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        with device(endless) as port:
            (visit,) = asked(tmp_path, approved(port))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert visit.outcome == "failed"
    assert peak < 2 << 20
    assert (tmp_path / "0.pcapng").stat().st_size < 1 << 20


def test_a_device_that_streams_is_slowed_down_and_has_time_to_end_and_nothing_is_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "CLOSE_S", 3.0)
    ended: list[str] = []
    sent = 0

    def streams(sock: socket.socket, data: bytes) -> None:
        """A second of as much as the line takes, more than would ever be read; then it sees that we ended."""
        nonlocal sent
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)  # a controller's, rather than a server's
        end = time.monotonic() + 1.0
        try:
            sock.sendall(modbus_answer(data) + bytes(1000))
            sock.settimeout(0.2)
            while time.monotonic() < end:
                with suppress(TimeoutError):
                    sent += sock.send(bytes(65_536))
            sock.settimeout(5)
            while sock.recv(4096):
                pass
            ended.append("seen our end")
        except OSError as error:
            ended.append(f"reset: {error}")

    with device(streams) as port:
        (visit,) = asked(tmp_path, approved(port))
    assert ended == ["seen our end"]
    assert not visit.left
    assert sent < 3 * line.MOST_DRAINED
    assert (tmp_path / "0.pcapng").stat().st_size < 1 << 20


def test_a_conversation_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_, "VISIT_S", 0.15)
    monkeypatch.setattr(line, "ANSWER_S", 2.0)

    def again(sock: socket.socket, data: bytes) -> None:
        while data:
            time.sleep(0.2)
            sock.sendall(data[:4] + b"\0\3" + data[6:7] + b"\xab\1")  # illegal function
            data = sock.recv(4096)

    with device(again) as port:
        (visit,) = asked(tmp_path, approved(port))
    assert (visit.outcome, visit.requests) == ("failed", 1)
    assert "takes longer" in visit.why


def test_more_objects_for_ever_are_asked_for_three_times(tmp_path: Path) -> None:
    requests: list[bytes] = []

    def more(sock: socket.socket, data: bytes) -> None:
        while data:
            requests.append(data)
            body = b"\x2b\x0e\x02\x82\xff" + bytes((min(data[10] + 1, 6),)) + b"\1\0\1x"
            sock.sendall(data[:4] + (len(body) + 1).to_bytes(2, "big") + data[6:7] + body)
            data = sock.recv(4096)

    with device(more) as port:
        (visit,) = asked(tmp_path, approved(port))
    assert visit.outcome == "answered"
    assert [one[10] for one in requests] == [0, 1, 2]


@pytest.fixture
def datagrams() -> Iterator[tuple[int, list[bytes]]]:
    """A UDP port whose answers to each datagram are given by the test."""
    import threading  # noqa: PLC0415  only here

    answers: list[bytes] = []
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(0.1)
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            with suppress(TimeoutError):
                _, client = sock.recvfrom(65_536)
                for answer in answers:
                    sock.sendto(answer, client)

    thread = threading.Thread(target=run)
    thread.start()
    yield sock.getsockname()[1], answers
    done.set()
    thread.join(5)
    sock.close()


def test_datagrams_of_garbage_are_counted_and_given_up(datagrams: tuple[int, list[bytes]], tmp_path: Path) -> None:
    port, answers = datagrams
    answers += [b"\xff" * 1400] * 50
    (visit,) = asked(tmp_path, approved(port, "fins"))
    assert (visit.outcome, visit.requests) == ("failed", 1)
    assert visit.frames <= 5
    assert "makes no sense" in visit.why


def test_an_omron_controller_is_known_by_one_datagram_each_way(
    datagrams: tuple[int, list[bytes]], tmp_path: Path
) -> None:
    from isthmus.assets.decode.audit import hear  # noqa: PLC0415  heavy

    port, answers = datagrams
    answers.append(b"\xc0\0\2\0\1\0\0\1\0\x69\5\1\0\0" + b"CP1L-EL20DT1-D".ljust(20) + b"01.10".ljust(20) + bytes(52))
    (visit,) = asked(tmp_path, approved(port, "fins"))
    assert (visit.outcome, visit.frames) == ("answered", 2)
    (one,) = hear(tmp_path / "0.pcapng").identities
    assert (one.maker, one.model, one.firmware) == ("Omron", "CP1L-EL20DT1-D", "01.10")


def test_a_twincat_station_is_known_by_one_datagram_each_way(
    datagrams: tuple[int, list[bytes]], tmp_path: Path
) -> None:
    from isthmus.assets.decode.audit import hear  # noqa: PLC0415  heavy

    port, answers = datagrams
    tags = b"\5\0\x0a\0CX-123456\0" + b"\3\0\4\0\3\1\xb8\x0f"
    answers.append(
        b"\x03\x66\x14\x71" + bytes(4) + b"\1\0\0\x80" + bytes((5, 1, 2, 3, 1, 1)) + b"\x10\x27\2\0\0\0" + tags
    )
    (visit,) = asked(tmp_path, approved(port, "ads"))
    assert (visit.outcome, visit.frames) == ("answered", 2)
    (one,) = hear(tmp_path / "0.pcapng").identities
    assert (one.maker, one.name) == ("Beckhoff", "CX-123456")


@st.composite
def answer(draw: st.DrawFn) -> bytes:
    """Noise, or noise behind the beginning of something that makes sense."""
    beginnings = [
        b"", b"\0\1\0\0\0\x20\xff\x2b\x0e\x02\x82\xff", b"\x63\0\x20\0" + bytes(8) + b"isthmus\0" + bytes(4),
        b"\x65\0\4\0\1\0\0\0" + bytes(4) + b"isthmus\1" + bytes(4), b"\3\0\0\x16\x11\xd0", b"\3\0\0\x29\2\xf0\x80\x32\7",
        b"ACKF\x1c\0\0\0", b"OPNF\x80\0\0\0", b"MSGF\x80\0\0\0", b"MSGF\x80\0\0\0" + bytes(16) + b"\1\0\xaf\1",
        b"\x81\x0a\0\x20", b"\x30\x40",
    ]  # fmt: skip
    return draw(st.sampled_from(beginnings)) + draw(st.binary(max_size=300))


def converse(protocol: str, answers: list[bytes], room: int) -> int:
    """Feed a conversation; how many requests it made. Whatever comes, it only sends what is on the list."""
    asking = askings()[protocol]
    talk = asking.talk(approved(1, protocol, **MORE.get(protocol, {})), "127.0.0.1")
    sent = 0
    try:
        ask = next(talk)
        while True:
            if not ask.goodbye and sent >= room:
                ask = talk.throw(NoRoom())
                continue
            data = ask.frame.fill(ask.values)
            assert sum(frame.fits(data) for frame in asking.FRAMES) == 1
            sent += 1
            given = answers[sent % len(answers)]
            asking.whole(given)
            ask = talk.send(given if ask.answered else b"")
    except (StopIteration, NoRoom, ValueError, IndexError, struct.error):
        return sent
    finally:
        talk.close()


@pytest.mark.parametrize("protocol", sorted(askings()))
@given(answers=st.lists(answer(), min_size=1, max_size=8), room=st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_no_answer_makes_a_conversation_send_what_is_not_on_the_list(
    protocol: str, answers: list[bytes], room: int
) -> None:
    assert converse(protocol, answers, room) <= 12


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("protocol", sorted(askings()))
@given(answers=st.lists(answer(), min_size=1, max_size=8), room=st.integers(0, 20))
@settings(max_examples=3_000, deadline=None)
def test_three_thousand_answers_make_no_conversation_send_what_is_not_on_the_list(
    protocol: str, answers: list[bytes], room: int
) -> None:
    assert converse(protocol, answers, room) <= 12
