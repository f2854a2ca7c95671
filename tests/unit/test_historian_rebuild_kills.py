"""Killed in each phase with the manifest gone besides: made anew, all that was acknowledged is there once."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from historian_writer import frame_of
from test_historian_kills import SEAL_ROWS, Acknowledged, killed_once, stored

from isthmus.site.config import HistorianSection
from isthmus.site.historian.keeping.rebuild import alone, examine, rebuild
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.sealed.manifest import NAME
from isthmus.site.historian.store import Store

KILLS = 4
"""In each phase."""


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("phase", ["ingest", "seal", "merge"])
def test_killed_in_a_phase_and_robbed_of_its_manifest_history_comes_back_whole(tmp_path: Path, phase: str) -> None:
    chance, sure, hits = np.random.default_rng(len(phase)), Acknowledged(), 0
    for _ in range(KILLS):
        upto, hit = killed_once(tmp_path, phase, sure.upto + 1, chance)
        hits += hit
        sure.until(upto)
        for path in tmp_path.glob(NAME + "*"):
            path.unlink()
        found = examine(tmp_path, None)
        assert not found[0].unreadable
        guard = alone(tmp_path)
        rebuild(found)
        guard.release()
        with Store(tmp_path, HistorianSection(seal_rows=SEAL_ROWS, future_s=1e9), background=False) as store:
            # A frame may be on disk whose acknowledgement the kill cut off: then it counts as well, whole.
            while store.taken(1, 1, sure.upto + 1):
                sure.until(sure.upto + 1)
            assert np.array_equal(stored(store), sure.rows())
            again = chance.permutation(np.arange(1, sure.upto + 1))[:200].tolist()
            store.seal()  # the whole log came back into memory, and makes room
            store.append([frame_of(seq) for seq in again])
            assert np.array_equal(stored(store), sure.rows())
        assert list(verify(tmp_path)) == []
    assert hits >= KILLS // 2
