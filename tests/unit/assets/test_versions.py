"""Versions of OT products: number by number, and never a no where a yes is possible."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.assets.csaf import load
from isthmus.assets.versions import affected, ranges

numbers = st.lists(st.integers(0, 300), min_size=1, max_size=5)
writings = st.sampled_from(["{}", "V{}", "v{}", "FW {}", "Version {}"])
tops = st.sampled_from(["< {}", "<{}", "prior to {}", "All versions < V{}", "vers:all/<V{}", "versions before {}"])


def text(pieces: list[int]) -> str:
    return ".".join(str(piece) for piece in pieces)


def below(one: list[int], other: list[int]) -> bool:
    """Smaller by its numbers, where a number that is not told counts as 0."""
    length = max(len(one), len(other))
    return one + [0] * (length - len(one)) < other + [0] * (length - len(other))


@given(numbers, numbers, writings, tops)
def test_no_affected_version_is_ever_called_not_affected(
    have: list[int], limit: list[int], written: str, top: str
) -> None:
    if below(have, limit):
        assert affected(top.format(text(limit)), written.format(text(have))) is not False


@given(numbers, numbers, numbers, writings)
def test_no_version_within_a_range_is_called_not_affected(
    have: list[int], low: list[int], high: list[int], written: str
) -> None:
    inside = not below(have, low) and not below(high, have)
    for shape in (">= {} | <= {}", ">={}|<={}", "{} - {}", ">= V{} and <= V{}", "{} to {}"):
        if inside:
            assert affected(shape.format(text(low), text(high)), written.format(text(have))) is not False


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_a_wildcard_holds_for_every_number_in_its_place(major: int, middle: int, last: int, limit: int) -> None:
    answer = affected(f"< V{major}.X.{limit}", f"V{major}.{middle}.{last}")
    assert answer is (last < limit) if last != limit else answer is not True or limit == last


@pytest.mark.parametrize(
    ("said", "have", "answer"),
    [
        ("< V3.2.17", "V3.2.7", True),
        ("< V3.2.17", "V3.2.17", False),
        ("< V3.2.17", "3.2.19", False),
        ("vers:all/*", "", True),
        ("All versions", "", True),
        ("< V3.2.17", "", None),
        ("<= 6.5", "6.5.3", None),
        (">= 4.7.2", "4.7", None),
        ("< V17 Update 4", "V17 Update 3", True),
        ("< V17 Update 4", "V17", True),
        ("< V17 Update 4", "V17 Update 5", False),
        ("4.0.0.350", "4.0.0.350", True),
        ("4.5.181 | 4.5.196", "4.5.190", False),
        (">=1.220|<=1.281", "1.250", True),
        ("10.0 and earlier", "9.4", True),
        ("5.3 and later", "5.2", False),
        ("28 - 32", "30", True),
        ("first 2 digits of serial number are 02", "1.0", None),
        ("< January 31 2014", "2.0", None),
        ("All BIOS versions < V1.0.212N", "1.0.100", None),
        ("1766-L32BXB", "3.0", None),
    ],
)
def test_what_advisories_write(said: str, have: str, answer: bool | None) -> None:  # noqa: FBT001  three answers
    assert affected(said, have) is answer


@pytest.mark.parametrize(
    ("said", "have", "answer"),
    [
        # A condition that nobody can look up: outside the range it does not matter, inside nothing is known.
        ("< V5.3 only when running on ROX II", "V5.2", None),
        ("< V5.3 only when running on ROX II", "V5.3", False),
        ("NMC2 <= 6.9.6", "6.9.6", None),
        ("All versions with OIS Extension Module", "V1.0", None),
        # A version told with a name compares only with one that is told with the same name.
        ("< SE2021MP7", "SE2021MP6", True),
        ("< SE2021MP7", "SE2021MP7", False),
        ("< SE2021MP7", "222.00.07", None),
        ("< ROS V4.3.4", "V4.3.5", None),
        ("< ROS V4.3.4", "ROS V4.3.5", False),
        ("<= D25", "E3", None),
        # The build says more than the release.
        ("< 1.3.0 (Build Nr. 1.3.0.1339)", "1.3.0", True),
        ("< 1.3.0 (Build Nr. 1.3.0.1339)", "1.3.0.1339", False),
        ("All versions between V3.0 (including) and V3.0.2 (excluding)", "V3.0.2", False),
        ("All versions between V3.0 (including) and V3.0.2 (excluding)", "V3.0.1", True),
    ],
)
def test_a_condition_or_a_name_never_becomes_a_guess(said: str, have: str, *, answer: bool | None) -> None:
    assert affected(said, have) is answer


@pytest.mark.parametrize(
    "said",
    ["< May 2018", "<=production_date_July_2020", "1766-L32BWA", "< 1.49 (1.29 for NX7)", "< 12.4 (firmware 1.46)"],
)
def test_what_is_no_version_or_more_than_one_stays_unread(said: str) -> None:
    assert ranges(said) is None


@given(numbers, numbers, st.sampled_from(["< {} only when running on X", "< {} (only with debug)", "NMC2 < {}"]))
def test_a_condition_never_calls_an_affected_version_unaffected(have: list[int], limit: list[int], top: str) -> None:
    if below(have, limit):
        assert affected(top.format(text(limit)), text(have)) is not False


@pytest.mark.data("advisories")
def test_nine_in_ten_of_the_real_version_texts_are_read(data: Path) -> None:
    rows = [row for row in load(data / "advisories").rows if row.version]
    read = sum(ranges(row.version) is not None for row in rows)
    assert len(rows) > 4000
    assert read / len(rows) >= 0.9
    distinct = {row.version for row in rows}
    assert sum(ranges(each) is not None for each in distinct) / len(distinct) >= 0.9


@pytest.mark.data("advisories")
def test_every_document_of_the_sample_is_read(data: Path) -> None:
    library = load(data / "advisories")
    with tarfile.open(next((data / "advisories").glob("*.tar.xz"))) as archive:
        names = [member.name for member in archive if member.name.endswith(".json")]
        newest = max(
            json.load(archive.extractfile(name))["document"]["tracking"]["current_release_date"]  # type: ignore[arg-type]
            for name in names
        )
    assert library.documents == len(names)
    assert library.told == ()
    assert library.newest == newest[:10]
