"""Silence of an edge is told as not knowing, never as calm."""

from __future__ import annotations

from isthmus.model.time import NS_PER_S
from isthmus.site.contact import SILENT_NS, Contact


def test_a_site_that_nobody_listens_at_misses_nobody() -> None:
    assert Contact().silent_since("cnc-01", 10**18) is None


def test_an_edge_that_never_came_since_the_start_is_missed_from_the_start() -> None:
    contact = Contact()
    contact.begin(100)
    assert contact.silent_since("cnc-01", 100 + SILENT_NS) is None
    assert contact.silent_since("cnc-01", 101 + SILENT_NS) == 100


def test_each_source_shares_the_fate_of_its_own_edge() -> None:
    contact = Contact()
    contact.begin(0)
    contact.heard("line-1", ["cnc-01"], NS_PER_S)
    contact.heard("line-2", ["press-1"], NS_PER_S + SILENT_NS)
    now = 2 * NS_PER_S + SILENT_NS
    assert contact.silent_since("cnc-01", now) == NS_PER_S
    assert contact.silent_since("press-1", now) is None


def test_an_edge_with_nothing_to_send_is_heard_by_its_question() -> None:
    contact = Contact()
    contact.begin(0)
    contact.heard("line-1", ["cnc-01"], 0)
    contact.heard("line-1", [], SILENT_NS)
    assert contact.silent_since("cnc-01", SILENT_NS + 1) is None


def test_a_conduit_names_the_edges_that_are_silent_behind_it() -> None:
    contact = Contact()
    contact.begin(0)
    assert contact.silent("uplink", SILENT_NS + 1) == {"": 0}
    contact.heard("line-1", [], 0)
    contact.heard("line-2", [], NS_PER_S)
    contact.dials("line-2", "other")
    assert contact.silent("uplink", SILENT_NS + 2 * NS_PER_S) == {"line-1": 0}
    assert contact.silent("other", SILENT_NS + 2 * NS_PER_S) == {"line-1": 0, "line-2": NS_PER_S}
    contact.heard("line-1", [], SILENT_NS)
    assert contact.silent("uplink", SILENT_NS + 2 * NS_PER_S) == {}
