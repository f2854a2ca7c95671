"""The command line's manners: help that teaches, a near miss that is named, and no trace where a sentence will do."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus import cli, commands
from isthmus.commands import records
from isthmus.model.errors import DeviceAway, IsthmusError, UsageError

SOURCE = Path(__file__).resolve().parents[2] / "src"


def test_without_arguments_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    said = capsys.readouterr().out
    assert "Begin with `isthmus demo`" in said
    assert "Run a small plant on one machine" in said


@pytest.mark.parametrize(("typed", "meant"), [("chek", "check"), ("rum", "run"), ("histroy", "history")])
def test_a_near_miss_is_named(typed: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([typed]) == 2
    assert f"did you mean isthmus {meant}?" in capsys.readouterr().err


def test_what_is_like_nothing_is_told_where_the_list_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["xyzzy"]) == 2
    assert "isthmus lists what there is" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [path.stem for path in Path(commands.__path__[0]).glob("[a-z]*.py")])
def test_every_verb_teaches_by_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    assert re.search(rf"^ *isthmus {verb}\b", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_read_enough_is_no_failure(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": unbuffered}
    script = f'set -o pipefail; "{sys.executable}" -m isthmus check --schema | head -1'
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_a_pipe_that_breaks_elsewhere_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(records, "run", broken)
    with Path(os.devnull).open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(BrokenPipeError):
            cli.main(["records"])


class TestTaskGroups:
    """What tasks raised together."""

    def run(self, monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> int:
        async def fail(error: Exception) -> None:
            raise error

        async def work() -> None:
            async with asyncio.TaskGroup() as outer, asyncio.TaskGroup() as inner:
                inner.create_task(fail(errors[0]))
                for error in errors[1:]:
                    outer.create_task(fail(error))

        def fake(args: argparse.Namespace) -> int:
            del args
            asyncio.run(work())
            return 0

        monkeypatch.setattr(records, "run", fake)
        return cli.main(["records"])

    @pytest.mark.parametrize(("error", "code"), [(DeviceAway("no answer"), 1), (UsageError("no such port"), 2)])
    def test_a_failure_in_a_task_is_a_sentence(
        self, error: IsthmusError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch, error) == code
        said = capsys.readouterr().err
        assert str(error) in said
        assert "Traceback" not in said

    def test_two_failures_are_two_sentences(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch, DeviceAway("no answer"), DeviceAway("no cable")) == 1
        assert sorted(capsys.readouterr().err.splitlines()) == ["no answer", "no cable"]

    def test_a_bug_beside_a_failure_stays_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(BaseExceptionGroup):
            self.run(monkeypatch, DeviceAway("no answer"), ValueError("a bug"))
