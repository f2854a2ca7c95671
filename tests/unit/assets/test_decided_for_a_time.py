"""What somebody accepts for a time waits for a person again when the time is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from isthmus.assets.decided import ended
from isthmus.cli import main
from isthmus.model.records.assets import AssetDecided, AssetFinding
from isthmus.model.time import from_datetime
from isthmus.run.auditing.store import AuditStore

Said = Callable[..., tuple[int, str]]
DAY_NS = 86_400 * 10**9


@pytest.fixture(name="said")
def make_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    monkeypatch.chdir(tmp_path)
    Path("list.csv").write_text("name,address,end of life\nOLD-PC,10.0.0.1,2020-01-01\n")

    def run(*words: str) -> tuple[int, str]:
        code = main(["audit", *words])
        told = capsys.readouterr()
        return code, told.out + told.err

    run("import", "list.csv")
    return run


def waiting() -> str:
    """The id of the one finding."""
    with AuditStore(Path("audit"), make=False) as store:
        [one] = [one for one in store.all(AssetFinding) if one.severity != "note"]
        return one.path.rpartition("/")[2]


def test_an_acceptance_holds_to_the_end_of_its_day_and_then_waits_again(said: Said) -> None:
    finding = waiting()
    day = (datetime.now(UTC) + timedelta(days=3)).date()
    reason = ("--reason", "the new one comes in March", "--by", "anna")
    assert said("accept", finding, "--until", day.isoformat(), *reason)[0] == 0
    assert "0 findings" in said("findings")[1]
    said("report", "board.html")
    assert all(text in Path("board.html").read_text() for text in ("the new one comes in March", day.isoformat()))
    with AuditStore(Path("audit"), make=False) as store:
        [word] = store.all(AssetDecided)
        midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
        assert word.until_ns == from_datetime(midnight)
        assert ended([word], word.until_ns - 1) == []
        over = [msgspec.structs.replace(word, until_ns=word.said_ns + 1, revision=word.revision + 1)]
        store.append(over)
    code, told = said("findings")
    assert (code, "1 findings" in told) == (0, True)
    with AuditStore(Path("audit"), make=False) as store:
        assert [one.decision for one in store.all(AssetDecided)] == ["accept", "reopen"]
        assert ended(store.all(AssetDecided), word.until_ns + DAY_NS) == []


@pytest.mark.parametrize(
    ("day", "why"),
    [("2020-01-01", "is over"), ("2999-01-01", "means anything"), ("March", "is no date; write it as 2027-03-31")],
)
def test_a_day_that_cannot_be_is_refused(said: Said, day: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        said("accept", waiting(), "--until", day, "--reason", "x")
    assert why in capsys.readouterr().err


def test_fields_and_baselines_have_no_end(said: Said) -> None:
    later = ("--until", "2199-01-01", "--reason", "x")
    assert "--until goes with accepting" in said("accept", "OLD-PC", "--set", "owner=y", *later)[1]
    assert "--until goes with accepting" in said("accept", "--baseline", *later)[1]
