"""Every command that a tutorial shows does what the tutorial says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tutorial import blocks, perform

from isthmus.plantfile import load
from isthmus.web.accounts import Accounts, Person

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "tutorial").glob("*.md"))]
PASSWORD = "seven-bolts-and-a-washer"  # noqa: S105  of an account that lives for one test
_UP_S = 240.0


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """As a person's own: `isthmus` is on the path, and nothing else is set."""
    tools = tmp_path_factory.mktemp("bin")
    script = tools / "isthmus"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m isthmus "$@"\n')
    script.chmod(0o755)
    source = {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1", "ISTHMUS": str(ROOT)}
    return {**os.environ, **source, "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.timeout(180)
def test_the_commands_of_a_page_do_what_it_says(page: Path, tmp_path: Path, environment: Mapping[str, str]) -> None:
    if any(block.sort == "console" and not block.needs_demo for block in blocks(page)):
        assert perform(page, tmp_path, environment, demo=False)


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]) -> Iterator[Path]:
    """A folder in which `isthmus demo --folder demo` is at work, and has told its story."""
    folder = tmp_path_factory.mktemp("tutorial")
    out = folder / "demo.out"
    with out.open("w") as log:
        demo = subprocess.Popen(
            ["isthmus", "demo", "--headless", "--port", "0", "--history", "0", "--folder", "demo"],
            cwd=folder, env=dict(environment), stdout=log, stderr=log,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + _UP_S
            while "goes on until Ctrl-C" not in out.read_text():
                assert demo.poll() is None, out.read_text()
                assert time.monotonic() < deadline, out.read_text()
                time.sleep(0.5)
            yield folder
        finally:
            demo.terminate()
            demo.wait(60)


@pytest.fixture(scope="module")
def visitor(demonstration: Path, environment: Mapping[str, str]) -> Mapping[str, str]:
    """The environment of somebody for whom the administrator has made an account."""
    file = load(demonstration / "demo" / "plant.toml")
    people = Accounts(file.web.data, time.time_ns)
    people.add(Person(name="m.jones", full_name="M. Jones", role="supervisor"), PASSWORD)
    people.close()
    return {**environment, "PAGES": f"http://{file.web.listen}", "NAME": "m.jones", "PASSWORD": PASSWORD}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.needs_demo for block in blocks(page))], ids=lambda page: page.stem
)
def test_the_commands_of_a_page_hold_beside_the_demonstration(
    page: Path, demonstration: Path, visitor: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "demo").symlink_to(demonstration / "demo")
    assert perform(page, tmp_path, visitor, demo=True)
