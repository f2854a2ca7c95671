"""The edge's own page: calm words, nothing from elsewhere, nobody from elsewhere."""

from __future__ import annotations

import asyncio

import pytest

from isthmus.edge.gate import Latch
from isthmus.edge.intake import SourceNow
from isthmus.edge.status import EdgeNow, listen, page, respond
from isthmus.edge.uplink import LinkNow
from isthmus.model import status as st
from isthmus.model.errors import UsageError
from isthmus.model.records.edge import TagFault
from isthmus.model.time import NS_PER_S

AT = 1_795_340_000 * NS_PER_S


def now() -> EdgeNow:
    away = SourceNow(
        name="mill <1>",
        tags=12,
        state="away",
        cause="nothing answers at 10.4.1.7:502",
        last_contact_ns=AT - 90 * NS_PER_S,
        next_try_ns=AT + 2 * NS_PER_S,
        faults={3: TagFault("heat", st.BAD_NODE_ID_UNKNOWN, "the device has no such address")},
    )
    return EdgeNow(
        plant="acme/northgate",
        site="https://site:8700",
        sources=[away],
        link=LinkNow(cause="https://site:8700 does not answer"),
        gate=Latch(closed=True, by="night shift", reason="drill", since_ns=AT - 3600 * NS_PER_S),
        waiting_bytes=12_300_000,
        buffer_bytes=20_000_000,
        most_bytes=4_096_000_000,
        dropped_rows=1234,
        trouble="",
    )


def test_cause_last_contact_and_next_try_stand_in_plain_words() -> None:
    text = page(now(), AT)
    for words in (
        "nothing answers at 10.4.1.7:502",
        "90 s ago",
        "in 2 s",
        "12, 1 bad",
        "the device has no such address",
        "The gate is closed.",
        "night shift, 60 min ago",
        "12.3 MB wait for the site",
        "1,234 rows were let go",
    ):
        assert words in text, words


def test_names_from_the_plant_file_are_never_taken_for_markup() -> None:
    text = page(now(), AT)
    assert "mill &lt;1&gt;" in text
    assert "<1>" not in text


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    text = page(now(), AT)
    assert "src=" not in text
    assert "href=" not in text
    assert "<script" not in text


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8710\r\n\r\n", b"200"),
        (b"GET /status.json?x HTTP/1.1\r\nhost: localhost:8710\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nHost: [::1]:8710\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nHost: evil.example:8710\r\n\r\n", b"403"),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"404"),
        (b"GET /../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"404"),
        (b"\xff\xfe\r\n\r\n", b"404"),
    ],
)
def test_it_answers_this_machine_alone_and_two_questions_only(head: bytes, status: bytes) -> None:
    assert respond(head, now()).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:8710", "site.example:8710", "[::]:0"])
def test_an_edge_never_listens_beyond_loopback(address: str) -> None:
    with pytest.raises(UsageError, match="loopback"):
        asyncio.run(listen(address, now))
