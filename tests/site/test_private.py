"""What the audit and the demonstration keep is readable by their user alone, whatever the shell's own mask is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_plant import until


@pytest.fixture(autouse=True)
def usual_mask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    return [str(path) for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


def test_an_audit_is_private(tmp_path: Path) -> None:
    declared = tmp_path / "declared.csv"
    declared.write_text("name,ip,vendor,model\nPLC 1,10.4.1.20,Siemens,S7-1500\n")
    command = [sys.executable, "-m", "isthmus", "audit", "import", str(declared), "--into", str(tmp_path / "audit")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "audit").iterdir())) > 2
    assert open_to_others(tmp_path / "audit") == []


@pytest.mark.long
def test_the_demonstration_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir(mode=0o755)
    command = [
        sys.executable,
        "-m",
        "isthmus",
        "demo",
        "--headless",
        "--no-erp",
        "--port",
        "0",
        "--folder",
        str(folder),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(
                lambda: (
                    "first administrator"
                    in ((folder / "site.log").read_text() if (folder / "site.log").exists() else "")
                )
            )
            until(lambda: len(list(folder.rglob("*"))) > 20)
            assert open_to_others(folder) == []
        finally:
            process.terminate()
            process.wait(40)
