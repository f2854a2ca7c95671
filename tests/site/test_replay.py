"""`isthmus replay`: what the past would look like under another plant file, with the site's data untouched."""

from __future__ import annotations

from pathlib import Path

import pytest

import plants
from isthmus.cli import main
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE, iso
from isthmus.plantfile import load
from isthmus.run.wings import folds_of
from isthmus.site.historian.store import Store
from spine import MONDAY, Event, Spine

PATH = plants.CNC_01
PLANT_FILE = """
[site]
data = "{folder}/site"
[kpi]
name = "Northgate"
version = {version}
micro_stop_s = {micro_stop_s}
[[calendar]]
name = "main"
[[calendar.shifts]]
name = "Early"
start = "06:00"
end = "14:00"
days = "Mon-Sun"
[[source]]
name = "plc"
kind = "modbus"
host = "127.0.0.1"
tags = [{{ name = "state", address = 10, type = 'str 8', kind = 'str' }}, {{ name = "parts", address = 2, kind = "i64" }}]
[[machine]]
path = "machining/line-a/cnc-01"
name = "CNC-01"
calendar = "main"
good = {{ tag = "plc/parts" }}
ideal_cycle_s = 50
[machine.state]
tags = {{ word = "plc/state" }}
rules = ["RUN if word == 'RUN'", "DOWN"]
"""


def written(folder: Path, name: str, version: int, micro_stop_s: int) -> Path:
    path = folder / name
    path.write_text(
        plants.PLANT + plants.CONTROL + PLANT_FILE.format(folder=folder, version=version, micro_stop_s=micro_stop_s)
    )
    return path


def story() -> list[Event]:
    """A part a minute, and a stop of one minute in each ten."""
    out: list[Event] = []
    for minute in range(9 * 60):
        at = MONDAY + minute * NS_PER_MINUTE
        out += [(at, "state", "DOWN" if minute % 10 == 7 else "RUN"), (at, "parts", minute)]
    return out


def stored(folder: Path, plant_file: Path) -> None:
    """The site's data after a morning under a plant file."""
    file = load(plant_file)
    with Store(folder / "site" / "history") as store:
        folds = {path: folds_of(file.plant, machine) for path, machine in file.plant.machines.items()}
        spine = Spine(folder / "site", plant=file.plant, folds=folds, historian=store, tags=store.tags)
        for event in range(0, len(story()), 120):
            part = story()[event : event + 120]
            spine.now_ns = part[-1][0] + NS_PER_MINUTE
            spine.send(part)
            spine.settle()
        spine.until(MONDAY + 9 * NS_PER_HOUR)
        assert spine.site.stopped == {}
        spine.close()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_policy_with_micro_stops_would_raise_availability_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now, then = written(tmp_path, "plant.toml", 1, 0), written(tmp_path, "next.toml", 2, 120)
    stored(tmp_path, now)
    before = files(tmp_path / "site" / "log")
    span = ["--from", iso(MONDAY), "--to", iso(MONDAY + 9 * NS_PER_HOUR)]
    assert main(["replay", str(now), *span]) == 0
    assert "nothing would differ" in capsys.readouterr().out
    assert main(["replay", str(now), *span, "--as", str(then)]) == 0
    out = capsys.readouterr().out
    assert "shift Early" in out
    assert "availability 90.0 % -> 100.0 %" in out
    assert "1 indicator would differ" in out
    assert files(tmp_path / "site" / "log") == before


def test_a_wrong_time_is_refused_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant = written(tmp_path, "plant.toml", 1, 0)
    assert main(["replay", str(plant), "--from", "March", "--to", "2026-04-01"]) == 2
    assert "write 2026-03-01" in capsys.readouterr().err
    assert main(["replay", str(plant), "--from", "2026-05-01", "--to", "2026-04-01"]) == 2
    assert main(["replay", str(plant), "--from", "2026-03-01", "--to", "2026-04-01"]) == 2
    assert "no site's data" in capsys.readouterr().err
