"""The command line's manners: help that teaches, a near miss that is named, and no trace where a sentence will do."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus import cli, commands
from isthmus.model.errors import DeviceAway, IsthmusError, UsageError


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
    assert f"    isthmus {verb}" in capsys.readouterr().out


def test_output_that_nobody_reads_on_ends_in_silence() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "isthmus", "check", "--schema"],
            stdout=pipe, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, b"")


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

        from isthmus.commands import records  # noqa: PLC0415  any verb serves

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
