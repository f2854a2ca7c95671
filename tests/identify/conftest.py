"""Rounds of one test run do not wait for those of another on the same machine."""

from __future__ import annotations

import os

import pytest

from isthmus.edge.identify import round as round_


@pytest.fixture(autouse=True)
def _alone_in_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_, "_LOCK", f"\0isthmus audit identify, test {os.getpid()}")
