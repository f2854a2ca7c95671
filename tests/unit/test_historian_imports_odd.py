"""Files that are not what they should be: nothing is taken in wrong, and each says where and why."""

from __future__ import annotations

import gzip
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.cli import main
from isthmus.model.errors import UsageError
from isthmus.model.query import Raw
from isthmus.model.samples import ValueKind
from isthmus.site.historian.bringing.imports import How, Imported, Unfit, import_file
from isthmus.site.historian.store import Store

EVER = 2**62
HEAD = "tag,time,value\n"
AT = "2026-01-22T10:00:{:02}Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "history", background=False) as made:
        yield made


def file(tmp_path: Path, text: str, name: str = "past.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def taken(store: Store, path: Path, how: How | None = None) -> tuple[Imported, list[Unfit]]:
    unfit: list[Unfit] = []
    return import_file(store, path, "oven", how, unfit=unfit.append), unfit


def values(store: Store, name: str) -> list[Any]:
    tag = store.tags.find(name)
    assert tag is not None, name
    kind = {ValueKind.STR: "str", ValueKind.I64: "i64"}.get(store.tags.info(tag).kind, "f64")
    return [row[kind] for row in store.query(Raw(), [tag], 0, EVER).to_pylist()]


def test_a_decimal_comma_among_commas_is_listed_and_not_cut_off(store: Store, tmp_path: Path) -> None:
    rows = [f"t,{AT.format(0)},1,5", f"t,{AT.format(1)},2,,", f"t,{AT.format(2)},3"]
    done, unfit = taken(store, file(tmp_path, HEAD + "\n".join(rows)))
    assert values(store, "oven/t") == [2.0, 3.0]
    assert (done.rows, done.unread) == (2, 1)
    assert [(each.line, each.kept) for each in unfit] == [(2, False)]


@pytest.mark.parametrize("more", [1, 5_000])
def test_a_quote_that_is_never_closed_swallows_nothing_in_silence(store: Store, tmp_path: Path, more: int) -> None:
    rows = [f"t,{AT.format(0)},1", f't,{AT.format(1)},"2', *[f"t,{AT.format(2)},3{'0' * 20}"] * more]
    with pytest.raises(UsageError, match=r"past\.csv, line 3: a quote .* not closed"):
        taken(store, file(tmp_path, HEAD + "\n".join(rows) + "\n"))


def test_quotes_that_are_closed_may_span_lines_and_stand_doubled(store: Store, tmp_path: Path) -> None:
    rows = [f't,{AT.format(0)},"two\nlines, ""said"""', f't,{AT.format(1)},5" pipe']
    done, unfit = taken(store, file(tmp_path, HEAD + "\n".join(rows) + "\n"))
    assert values(store, "oven/t") == ['two\nlines, "said"', '5" pipe']
    assert (done.rows, unfit) == (2, [])


def test_nan_and_infinities_are_numbers_and_leave_their_tag_one(store: Store, tmp_path: Path) -> None:
    words = ["1.5", "NaN", "inf", "-Infinity", "1e400"]
    done, unfit = taken(store, file(tmp_path, HEAD + "\n".join(f"t,{AT.format(n)},{w}" for n, w in enumerate(words))))
    found = values(store, "oven/t")
    assert found[0] == 1.5
    assert math.isnan(found[1])
    assert found[2:] == [math.inf, -math.inf, None]
    assert [(each.line, each.kept) for each in unfit] == [(6, True)]
    assert "1e400" in unfit[0].why
    assert done.mixed == ()


def test_a_stray_word_that_makes_a_tag_a_text_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["1.5", "2.5", "open", "3.5"]
    path = file(tmp_path, HEAD + "\n".join(f"t,{AT.format(n)},{w}" for n, w in enumerate(words)))
    assert main(["history", "--data", str(tmp_path / "site"), "import", str(path), "--source", "oven"]) == 0
    assert "oven/t is kept as texts: most of its values are numbers" in capsys.readouterr().out


def test_a_packed_file_that_is_cut_off_keeps_what_could_be_read(store: Store, tmp_path: Path) -> None:
    rows = "\n".join(f"t,{1_769_000_000 + n},{n * 7919 % 1000}" for n in range(100_000))
    packed = gzip.compress((HEAD + rows).encode())
    path = tmp_path / "past.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UsageError, match=r"past\.csv\.gz cannot be unpacked: .*Copy or export it anew"):
        taken(store, path)
    assert values(store, "oven/t")[:3] == [0.0, 919.0, 838.0]
    path.write_bytes(b"no gzip at all")
    with pytest.raises(UsageError, match=r"past\.csv\.gz cannot be unpacked"):
        taken(store, path)


def test_line_protocol_says_what_each_line_lacks(store: Store, tmp_path: Path) -> None:
    text = 'm v=1 1769000000000000000\nm v=2\nm v=abc 1769000001000000000\nm v=3i,s="abc" 1769000002000000000\n'
    _, unfit = taken(store, file(tmp_path, text, "past.lp"))
    assert values(store, "oven/m.v") == [1.0, 3.0]
    assert values(store, "oven/m.s") == ["abc"]
    assert [(each.line, each.why) for each in unfit] == [
        (2, "it has no time"),
        (3, "it has no tag, or is not formed like the others"),
    ]


@pytest.mark.parametrize(
    ("how", "source", "why"),
    [
        (How(zone="Nowhere/Land"), "oven", "zone 'Nowhere/Land' is not known"),
        (How(zone="Europe"), "oven", "zone 'Europe' is not known"),
        (How(), "", "the source cannot be called ''"),
        (How(), "a/b", "the source cannot be called 'a/b'"),
        (How(), "two words", "without spaces"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_row_is_read(
    store: Store, tmp_path: Path, how: How, source: str, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        import_file(store, file(tmp_path, f"{HEAD}t,{AT.format(0)},1\n"), source, how)
    with pytest.raises(UsageError, match="is a folder; name its files"):
        import_file(store, tmp_path, "oven")
    assert store.tags.all() == {}


def test_rows_that_do_not_fit_of_several_files_stand_in_one_list(tmp_path: Path) -> None:
    one, two = (file(tmp_path, f"{HEAD}t,never,1\n", name) for name in ("one.csv", "two.csv"))
    listed = tmp_path / "rejected.csv"
    listed.write_text("of another day\n", encoding="utf-8")
    task = ["import", str(one), str(two), "--source", "oven", "--rejected", str(listed)]
    assert main(["history", "--data", str(tmp_path / "site"), *task]) == 0
    lines = listed.read_text(encoding="utf-8").splitlines()
    assert [line.partition(",")[0] for line in lines] == ["file", str(one), str(two)]


def test_ctrl_c_says_that_the_same_command_goes_on(tmp_path: Path) -> None:
    path = file(tmp_path, HEAD + "".join(f"t{n % 9},{1_769_000_000 + n},{n}\n" for n in range(400_000)))
    task = ["history", "--data", str(tmp_path / "site"), "import", str(path), "--source", "oven"]
    command = [sys.executable, "-m", "isthmus", *task]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        wal = tmp_path / "site" / "history" / "wal"
        until = time.monotonic() + 30
        while not sum(each.stat().st_size for each in wal.glob("*.seg")) and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert "the same command goes on where it was" in told


def test_what_is_said_of_a_tag_before_its_first_value_does_not_settle_its_kind(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.site.historian.bringing.imports.ROWS", 4)
    rows = [f"valve,{AT.format(0)},Pt Created", f"never,{AT.format(0)},I/O Timeout"]
    rows += [f"flow,{AT.format(at)},{at}.5" for at in range(6)]
    rows += [f"valve,{AT.format(7)},OPEN", f"never,{AT.format(8)},I/O Timeout", f"valve,{AT.format(9)},SHUT"]
    path = file(tmp_path, HEAD + "\n".join(rows) + "\n")
    for _ in range(2):
        done, unfit = taken(store, path)
        assert (done.rows, done.odd, done.unread, unfit) == (11, 0, 0, [])
        assert values(store, "oven/valve") == [None, "OPEN", "SHUT"]
        assert values(store, "oven/never") == [None, None]
        assert len(values(store, "oven/flow")) == 6
