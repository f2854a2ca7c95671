"""The command line among other tools: what it does when who reads it has read enough."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_read_enough_is_no_failure(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": unbuffered}
    script = f'set -o pipefail; "{sys.executable}" -m isthmus check --schema | head -1'
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_a_pipe_that_breaks_elsewhere_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus import cli  # noqa: PLC0415  beside its own command
    from isthmus.commands import records  # noqa: PLC0415  as above

    def broken(_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(records, "run", broken)
    with Path(os.devnull).open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(BrokenPipeError):
            cli.main(["records"])
