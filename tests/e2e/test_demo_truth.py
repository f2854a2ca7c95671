"""The bounded demonstration: what was measured equals what really happened, also while things break."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.long, pytest.mark.peer("tryton")]

SECONDS = 150
BACK_WITHIN_S = 3.0


def shown(folder: Path, *more: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "isthmus", "demo", "--headless", "--for", str(SECONDS), "--seed", "7"]
    command += ["--port", "0", "--folder", str(folder), *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return summary


def differences(summary: dict[str, Any]) -> list[str]:
    """Every count and order that is not as it really was."""
    out = [
        f"{count['path']}: {count}"
        for count in summary["counts"]
        if (count["good"], count["scrap"]) != (count["good_truth"], count["scrap_truth"])
    ]
    return out + [
        f"order {order['order']}: {order}"
        for order in summary["orders"]
        if (order["good"], order["scrap"]) != (order["good_erp"], order["scrap_erp"])
    ]


def state_error_s(states: dict[str, Any]) -> float:
    names = [name for name in states if name.endswith("_s")]
    return float(sum(abs(states[name] - states[f"{name}_truth"]) for name in names))


def test_counts_states_and_erp_are_as_they_really_were(tmp_path: Path) -> None:
    summary = shown(tmp_path)
    assert summary["machines"] == 8
    assert summary["lost"] == summary["duplicates"] == 0
    assert differences(summary) == []
    # An order whose machine stood still at the end was taken off unfinished, and is reported as far as it came.
    assert {order["state_erp"] for order in summary["orders"]} <= {"finished", "running"}
    for states in summary["states"]:
        assert state_error_s(states) <= 0.01 * SECONDS, states


def test_nothing_is_lost_or_doubled_while_everything_breaks(tmp_path: Path) -> None:
    summary = shown(tmp_path, "--faults")
    assert summary["lost"] == summary["duplicates"] == 0
    assert differences(summary) == []
    recovered = summary["recovered_s"]
    assert {"link_cut", "edge_kill", "site_kill", "erp_down"} <= set(recovered)
    assert recovered["unplug:cnc-02"] <= BACK_WITHIN_S
    assert recovered["freeze:press-1"] <= BACK_WITHIN_S
