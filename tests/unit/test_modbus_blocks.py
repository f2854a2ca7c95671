from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from isthmus.edge.modbus_client import blocks
from isthmus.edge.modbus_client.blocks import Point
from isthmus.edge.modbus_client.codec import Table


def holding(*starts: int, width: int = 1, unit: int = 1) -> list[Point]:
    return [Point(unit, Table.HOLDING, start, width, number) for number, start in enumerate(starts)]


@some.composite
def anywhere(draw: some.DrawFn) -> Point:
    table = draw(some.sampled_from(Table))
    size = 1 if table.of_bits else draw(some.integers(1, 8))
    return Point(draw(some.integers(0, 3)), table, draw(some.integers(0, 3000)), size, draw(some.integers(0, 500)))


def extents(points: list[Point], gap: int) -> list[tuple[int, int]]:
    return [(block.start, block.size) for block in blocks.merge(points, gap=gap)]


def test_neighbours_become_one_request_and_a_wide_gap_begins_another() -> None:
    assert extents(holding(0, 1, 2), gap=0) == [(0, 3)]
    assert extents(holding(0, 17, 35), gap=16) == [(0, 18), (35, 1)]
    assert extents(holding(0, 18, 35), gap=16) == [(0, 1), (18, 18)]


def test_two_tags_may_share_a_register() -> None:
    assert extents([*holding(5), Point(1, Table.HOLDING, 4, 4, 1), *holding(6)], gap=0) == [(4, 4)]


def test_a_request_never_grows_beyond_what_the_standard_allows() -> None:
    assert extents(holding(*range(0, 300, 2), width=2), gap=16) == [(0, 124), (124, 124), (248, 52)]
    coils = [Point(1, Table.COIL, start, 1, start) for start in range(4001)]
    assert [block.size for block in blocks.merge(coils, gap=16)] == [2000, 2000, 1]


def test_tables_and_units_are_never_mixed() -> None:
    points = [*holding(0), *holding(1, unit=2), Point(1, Table.INPUT, 1, 1, 9)]
    assert len(blocks.merge(points, gap=16)) == 3


@given(some.lists(anywhere(), max_size=60), some.integers(0, 124), some.integers(1, 125))
def test_every_tag_lies_whole_in_exactly_one_block_within_the_limits(
    points: list[Point], gap: int, per_request: int
) -> None:
    planned = blocks.merge(points, gap=gap, per_request=per_request)
    assert sorted(point for block in planned for point in block.points) == sorted(points)
    for block in planned:
        assert {(point.unit, point.table) for point in block.points} == {(block.unit, block.table)}
        assert min(point.start for point in block.points) == block.start
        assert max(point.end for point in block.points) == block.start + block.size
        most = min(2000, per_request * 16) if block.table.of_bits else per_request
        widest = max(point.size for point in block.points)
        assert block.size <= max(most, widest)


@given(some.lists(anywhere(), max_size=60))
def test_the_plan_does_not_depend_on_the_order_of_the_tags(points: list[Point]) -> None:
    assert blocks.merge(points, gap=16) == blocks.merge(list(reversed(points)), gap=16)


@given(some.lists(some.integers(0, 60), min_size=2, max_size=30, unique=True))
def test_halving_ends_with_single_tags_and_loses_none(starts: list[int]) -> None:
    (whole,) = blocks.merge(holding(*starts), gap=124)
    waiting, single = [whole], []
    while waiting:
        block = waiting.pop()
        if len(block.points) == 1:
            single.append(block.start)
        else:
            waiting += blocks.halves(block)
    assert sorted(single) == sorted(starts)
