"""A group's centre by DuckDB: the same answers as the sites would give, from what they shipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from group import OPERATORS, STRETCHES, Site, assert_same, two_sites, wanted

from isthmus.centre.centre import Centre
from isthmus.model import query as q


@pytest.fixture(scope="module")
def sites() -> Iterator[list[Site]]:
    with two_sites() as made:
        yield made


@pytest.fixture(scope="module")
def centre(sites: list[Site]) -> Iterator[Centre]:
    with Centre(sites[0].folder.parent / "centre", sites[0].group) as opened:
        taken = opened.take()
        assert not any(each.refused for each in taken)
        yield opened


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda each: type(each).__name__)
def test_the_centre_says_what_the_reference_says_of_all_sites_the_tail_included(
    operator: q.Operator, sites: list[Site], centre: Centre
) -> None:
    numbers = {each.name: each.number for each in centre.stock.sites()}
    pasts = {numbers[each.name]: each.past() for each in sites}
    tags = [tag.id for tag in centre.stock.tags("*")]
    assert len(tags) == 12
    for start_ns, end_ns in STRETCHES:
        assert_same(centre.query(operator, tags, start_ns, end_ns), wanted(operator, pasts, start_ns, end_ns), operator)
