"""The house: its walls hold, and a planted breach is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LINTER = Path(sys.executable).parent / "lint-imports"


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(folder / "src"), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [str(LINTER), "--no-cache"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the sources, to breach."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(house: Path, module: str, line: str) -> None:
    path = house / "src" / "isthmus" / module
    path.write_text(path.read_text() + f"\n{line}\n")


def test_the_contracts_hold(house: Path) -> None:
    done = contracts(house)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("production/states.py", "import isthmus.assets", "The house"),
        ("site/site.py", "import isthmus.centre.stock", "The house"),
        ("production/states.py", "import isthmus.wire.frame", "Wings and the simulated plant"),
        ("model/time.py", "import isthmus.wire.frame", "The house"),
        ("edge/sources/modbus.py", "import isthmus.edge.sources.opcua", "No source knows another source"),
        ("edge/runner.py", "import duckdb", "The edge carries no database"),
        ("web/app.py", "import isthmus.production.kpi", "Pages and doors"),
        ("model/time.py", "import isthmus.model.calendar", "No rings of imports"),
    ],
)
def test_a_planted_import_through_a_wall_is_found(house: Path, module: str, line: str, contract: str) -> None:
    plant(house, module, line)
    done = contracts(house)
    assert done.returncode != 0
    broken = [row for row in done.stdout.splitlines() if row.endswith("BROKEN")]
    assert any(row.startswith(contract) for row in broken), done.stdout


def starts(house: Path) -> subprocess.CompletedProcess[str]:
    """Order the folds of a machine, as the site does at its start."""
    code = (
        "from isthmus.run.wings import folds_of\n"
        "from isthmus.model.calendar import Calendar\n"
        "from isthmus.model.plant import KpiPolicy, Machine, Plant\n"
        "machine = Machine(path='a/b/c/d/e', name='M', calendar='x')\n"
        "plant = Plant(name='P', path='a/b', time_zone='UTC', currency='GBP', calendars={'x': Calendar(name='x')}, machines={},"
        " products={}, reasons={}, kpi=KpiPolicy())\n"
        "print([fold.name for fold in folds_of(plant, machine)])\n"
    )
    environment = {"PYTHONPATH": str(house / "src"), "PATH": "/usr/bin:/bin"}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_the_site_starts_with_one_emitter_for_each_kind(house: Path) -> None:
    done = starts(house)
    assert done.returncode == 0, done.stderr
    assert "production/states" in done.stdout


def test_a_planted_second_emitter_is_refused_at_start(house: Path) -> None:
    cycles = house / "src/isthmus/production/cycles.py"
    planted = cycles.read_text().replace("= (CycleDone,)", "= (CycleDone, StateChanged)", 1)
    assert planted != cycles.read_text()
    cycles.write_text(planted)
    done = starts(house)
    assert done.returncode != 0
    assert "StateChanged" in done.stderr
    assert "production/states" in done.stderr


def test_a_planted_ring_of_folds_is_refused_at_start(house: Path) -> None:
    states = house / "src/isthmus/production/states.py"
    text = states.read_text()
    planted = text.replace("import StateChanged", "import CycleDone, StateChanged", 1)
    planted = planted.replace("reads: ClassVar[tuple[type[Record], ...]] = ()", "reads: ClassVar = (CycleDone,)", 1)
    assert planted.count("CycleDone") == 2
    states.write_text(planted)
    done = starts(house)
    assert done.returncode != 0
    assert "ring" in done.stderr or "circle" in done.stderr, done.stderr
