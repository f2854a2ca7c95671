"""Killed in each phase, counted against what was acknowledged; VictoriaMetrics beside it, counted the same way.

A phase is known by what stands on disk at its moment: a seal, a merge and a rollup write their file under
a temporary name first. The killer looks for that name and kills at once, or right after it was renamed,
when the manifest does not know of it yet.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from historian_writer import T0, TAGS, frame_of

from isthmus.model.query import Raw
from isthmus.model.time import NS_PER_S
from isthmus.site.config import HistorianSection
from isthmus.site.historian.check import Told
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.store import Store

EVER = 2**62
EVERY_TAG = list(range(1, TAGS + 1))
KILLS = 14
"""In each phase."""
SEAL_ROWS = 4_000
PHASES = {"ingest": "", "seal": "-L0", "merge": "-L", "rollup": "-r"}


class Acknowledged:
    """What the writer was told is safe: samples by (tag, time), the later in the place of the earlier."""

    def __init__(self) -> None:
        self.upto = 0
        self._columns: list[tuple[NDArray[np.int64], ...]] = []

    def until(self, seq: int) -> None:
        for each in range(self.upto + 1, seq + 1):
            batch = frame_of(each).columns
            value = batch["value"].to_numpy().view(np.int64)
            self._columns.append((batch["tag"].to_numpy().astype(np.int64), batch["time_ns"].to_numpy(), value))
        self.upto = max(self.upto, seq)

    def rows(self) -> NDArray[np.int64]:
        """Shape (samples, 3): tag, time, bits of the value, in order."""
        tag, time_ns, bits = (np.concatenate(column) for column in zip(*self._columns, strict=True))
        order = np.lexsort((np.arange(len(tag)), time_ns, tag))
        tag, time_ns, bits = tag[order], time_ns[order], bits[order]
        last = np.append((tag[1:] != tag[:-1]) | (time_ns[1:] != time_ns[:-1]), True)
        return np.stack([tag, time_ns, bits], axis=1)[last]


def stored(store: Store) -> NDArray[np.int64]:
    table = store.query(Raw(), EVERY_TAG, 0, EVER)
    columns = (table["tag"].to_numpy().astype(np.int64), table["time_ns"].to_numpy(), table["f64"].to_numpy())
    return np.stack([columns[0], columns[1], columns[2].view(np.int64)], axis=1)


def segments(folder: Path) -> set[str]:
    return {path.name for day in _within(folder) for path in _within(day)}


def _within(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def of_phase(name: str, phase: str) -> bool:
    if phase == "merge":
        return "-L" in name and "-L0" not in name
    return PHASES[phase] in name


def wait_for(folder: Path, phase: str, *, renamed: bool, most_s: float = 30.0) -> bool:
    """True once a file of the phase is being written, or was just renamed; False when none came in time."""
    before = segments(folder)
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        for name in segments(folder) - before:
            if of_phase(name, phase) and name.endswith(".parquet" if renamed else ".tmp"):
                return True
    return False


def killed_once(folder: Path, phase: str, first: int, chance: np.random.Generator) -> tuple[int, bool]:
    """The last frame acknowledged to a writer that was killed, and whether it was in the phase."""
    script = Path(__file__).parent / "historian_writer.py"
    command = [sys.executable, str(script), str(folder), str(first), str(SEAL_ROWS)]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=said, stderr=subprocess.PIPE, text=True) as process,
    ):
        hit = True
        if phase == "ingest":
            time.sleep(1.5 + chance.random())
        else:
            time.sleep(chance.random())
            hit = wait_for(folder / "segments", phase, renamed=bool(chance.integers(0, 2)))
        running = process.poll() is None
        process.kill()
        process.wait()
        assert running, process.stderr.read() if process.stderr else ""
        said.seek(0)
        lines = said.read().rpartition("\n")[0].splitlines()
    return max([first - 1, *map(int, lines)]), hit


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("phase", PHASES)
def test_killed_in_a_phase_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path, phase: str) -> None:
    chance, sure, hits = np.random.default_rng(len(phase)), Acknowledged(), 0
    for kill in range(KILLS):
        folder = tmp_path / f"{kill // 5}"
        if kill % 5 == 0:
            sure = Acknowledged()
        last, hit = killed_once(folder, phase, sure.upto + 1, chance)
        hits += hit
        told: list[Told] = []
        section = HistorianSection(seal_rows=SEAL_ROWS, future_s=1e9)
        with Store(folder, section, told=told.append, background=False) as store:
            # One frame may have been on disk and not acknowledged yet; never two, and never part of one.
            sure.until(last + store.taken(1, 1, last + 1))
            assert np.array_equal(stored(store), sure.rows())
            assert not store.taken(1, 1, sure.upto + 1)
        assert told == []
        assert list(verify(folder)) == []
    sys.stdout.write(f"\n{phase}: {KILLS} kills, {hits} of them while its file was written; lost 0, doubled 0\n")
    assert hits >= KILLS - 2


@contextlib.contextmanager
def victoria(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        "victoria-metrics",
        f"-storageDataPath={folder}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
    ]
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        try:
            for _ in range(200):
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/health").status_code == 200:
                        break
                time.sleep(0.05)
            yield process, client
        finally:
            process.kill()


def lines_of(seq: int) -> tuple[bytes, int]:
    """A frame in Prometheus' text, and its samples counted as VictoriaMetrics counts: by tag and millisecond."""
    batch = frame_of(seq).columns
    rows = list(zip(batch["tag"].to_pylist(), batch["time_ns"].to_pylist(), batch["value"].to_pylist(), strict=True))
    # Frames of the test come an hour late now and then; each is moved to a stretch of its own, so that none is a repeat.
    moved = {(tag, (at - T0) // NS_PER_S % 300 + seq * 4000): value for tag, at, value in rows}
    now = int(time.time()) - 40_000_000
    text = "".join(f'speed{{tag="{tag}"}} {value} {(now + at) * 1000}\n' for (tag, at), value in moved.items())
    return text.encode(), len(moved)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.peer("victoriametrics")
def test_victoriametrics_killed_as_often_loses_what_it_acknowledged(tmp_path: Path) -> None:
    """Not a promise of ours: the figure beside it. Should it lose nothing one day, what we say of it is out of date."""
    chance, sent, sure, seq, lost = np.random.default_rng(1), 0, 0, 0, []
    for kill in range(KILLS + 1):
        with victoria(tmp_path / "data") as (process, client):
            end = time.monotonic() + 1.0 + chance.random()
            while time.monotonic() < end:
                seq += 1
                text, count = lines_of(seq)
                client.post("/api/v1/import/prometheus", content=text).raise_for_status()
                sent, sure = sent + count, sure + count
            # The first is ended in order, to see that it is the kill that loses, and not the counting.
            (process.kill if kill else process.terminate)()
            process.wait()
        with victoria(tmp_path / "data") as (process, client):
            found = sum(len(line.split(b'"timestamps":[')[1].split(b",")) for line in exported(client))
            process.terminate()
            process.wait()
        assert kill or found == sure
        lost.append(sure - found)
        sure = found
    told = f"{KILLS} kills, {sum(lost):,} of {sent:,} acknowledged samples lost, in {sum(map(bool, lost))} of the kills"
    sys.stdout.write(f"\nVictoriaMetrics: {told}\n")
    assert sum(lost) > 0


def exported(client: httpx.Client) -> list[bytes]:
    answer = client.get("/api/v1/export", params={"match[]": "speed", "start": "1970-01-02T00:00:00Z"})
    answer.raise_for_status()
    return answer.content.splitlines()
