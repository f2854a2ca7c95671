"""Two commands that want to write one history: the second says who has it, and waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.cli import main
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, iso
from isthmus.run import one_writer
from isthmus.site.historian.sealed.leases import Held
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
IMPORT = "isthmus history import past.csv"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    with Store(tmp_path / "history", background=False) as store:
        tag = store.tags.intern(TagInfo(name="plc/speed", kind=ValueKind.F64))
        store.append([Batch(1, 1, 1, T0, columns(ValueKind.F64, [tag], [T0], [0], [1.0]))])
    (tmp_path / "more.csv").write_text("tag,time,value\nheat,2025-11-08T00:00:00Z,7\n", encoding="utf-8")
    return tmp_path / "history"


def importing(history: Path) -> list[str]:
    return ["history", "--data", str(history.parent), "import", str(history.parent / "more.csv"), "--source", "oven"]


def correcting(history: Path) -> list[str]:
    right = ["correct", "plc/speed", iso(T0), "2", "--by", "Ann", "--why", "wrong"]
    return ["history", "--data", str(history.parent), *right]


@pytest.mark.parametrize("command", [importing, correcting])
def test_who_writes_is_said_and_waited_for(
    history: Path, command: Callable[[Path], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    first = Store(history, background=False, what=IMPORT)
    after = threading.Timer(0.5, first.close)
    after.start()
    assert main(command(history)) == 0
    after.join()
    said = capsys.readouterr()
    assert f"{history} is being written by {IMPORT} (process {os.getpid()}, since 20" in said.err
    assert "goes on by itself" in said.err
    assert "site" not in said.err
    with Store(history, background=False) as store:
        assert len(store.tags.all()) + len(store.corrections()) == 2


@pytest.mark.parametrize("command", [importing, correcting])
def test_one_that_is_not_done_in_time_is_named_with_the_mend(
    history: Path,
    command: Callable[[Path], list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(one_writer, "LONGEST_S", 0.2)
    with Store(history, background=False, what=IMPORT):
        assert main(command(history)) == 1
    said = capsys.readouterr().err
    assert f"kill {os.getpid()}" in said
    assert "nothing was done here" in said


def test_a_site_that_finds_an_import_at_work_says_which(history: Path) -> None:
    with (
        Store(history, background=False, what=IMPORT),
        pytest.raises(Held, match=r"written by isthmus history import past\.csv \(process \d+, since .*Z\); stop that"),
    ):
        Store(history, background=False)


def test_what_stood_in_the_lock_before_names_nobody(history: Path) -> None:
    Store(history, background=False, what=IMPORT).close()
    with Store(history, background=False), pytest.raises(Held, match="written by the site"):
        Store(history, background=False)
