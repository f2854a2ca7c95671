"""The link cut from the IT side: edge and site as processes, a person at the page, and nothing lost at the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from small_plant import Running, make_device, make_running, until  # noqa: F401  fixtures

from isthmus.model.query import Raw
from isthmus.model.records.edge import ConduitCut, ConduitReopened
from isthmus.model.records.site import FramesMissing
from isthmus.plantfile import load
from isthmus.site.historian.store import Store
from isthmus.site.records.records_log import RecordsLog
from isthmus.web.accounts import Accounts, Person

PASSWORD = "three words do well"  # noqa: S105  of a plant that exists for a test


class Officer:
    """A person with an account, at the pages."""

    def __init__(self, running: Running, name: str) -> None:
        self._pages = f"http://127.0.0.1:{running.pages}"
        form = {"name": name, "password": PASSWORD, "after": "/connections"}
        answer = httpx.post(f"{self._pages}/log-in", data=form, trust_env=False, timeout=20)
        assert answer.status_code == 303
        self._cookies = dict(answer.cookies)

    def act(self, act: str) -> int:
        token = re.search(r'name="form" value="([^"]+)"', self.page())
        assert token is not None
        form = {"form": token[1], "conduit": "uplink", "reason": "ransomware in the office network"}
        return httpx.post(
            f"{self._pages}/act/{act}", data=form, cookies=self._cookies, trust_env=False, timeout=20
        ).status_code

    def page(self) -> str:
        return httpx.get(f"{self._pages}/connections", cookies=self._cookies, trust_env=False, timeout=20).text


def reopen(running: Running) -> None:
    command = [sys.executable, "-m", "isthmus", "reopen", "--by", "A. Smith", "--by", "B. Jones", "--reason", "checked"]
    subprocess.run([*command, "--file", str(running.file)], check=True, timeout=60)


@pytest.mark.usefixtures("device")
@pytest.mark.timeout(240)
@pytest.mark.long
def test_a_cut_from_the_it_side_holds_until_both_sides_open_and_loses_nothing(running: Running) -> None:
    people = Accounts(running.folder / "web", time.time_ns)
    for name in ("a.ndiaye", "b.okafor"):
        people.add(Person(name=name, full_name=name, role="security"), PASSWORD)
    people.close()
    running.start()
    until(running.reads)
    until(lambda: running.edge()["link"]["sent_bytes"] > 0)
    first, second = Officer(running, "a.ndiaye"), Officer(running, "b.okafor")
    until(lambda: "Cut the link to OT" in first.page())

    assert first.act("cut") == 303
    until(lambda: running.edge()["gate"]["verified"], 20)
    assert running.edge()["gate"]["by"] == "the site"
    assert "Cut from this side by a.ndiaye" in first.page()
    waited = running.edge()["waiting_bytes"]
    until(lambda: running.edge()["waiting_bytes"] > waited + 1000)

    # Neither a restart of the site nor an opening on the OT side alone ends it.
    site = next(
        pid for pid in children_of(running) if b"site" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    )
    os.kill(site, signal.SIGKILL)
    until(lambda: running.said().count("site: pages at") == 2)
    reopen(running)
    until(lambda: not running.edge()["gate"]["closed"] or running.edge()["gate"]["since_ns"] > time.time_ns() - 10**9)
    until(lambda: running.edge()["gate"]["closed"] and running.edge()["gate"]["by"] == "the site", 20)

    first, second = Officer(running, "a.ndiaye"), Officer(running, "b.okafor")
    assert (first.act("lift-cut"), first.act("lift-cut"), second.act("lift-cut")) == (303, 400, 303)
    assert running.edge()["gate"]["closed"], "the site's word opens nothing on the OT side"
    reopen(running)
    until(lambda: running.edge()["link"]["up"] and running.edge()["waiting_bytes"] == 0)
    until(lambda: "The edge reaches the site" in first.page() or "Reopened by A. Smith and B. Jones" in first.page())
    assert running.end() == 0
    demand_whole(running)


def demand_whole(running: Running) -> None:
    """History has no hole over the cut, and the log tells both cuts and both openings."""
    file = load(running.file)
    with Store(file.site.data / "history", file.historian) as store:
        number = store.tags.find("press/power")
        assert number is not None
        times = sorted(store.query(Raw(), [number], 0, 1 << 62).column("time_ns").to_pylist())
    assert times
    assert max(after - before for before, after in pairwise(times)) < 3_000_000_000
    log = RecordsLog(file.site.data / "log")
    told = [record for _, record in log.read(0)]
    assert log.verify() == []
    log.close()
    assert sum(isinstance(record, ConduitCut) for record in told) == 2
    assert sum(isinstance(record, ConduitReopened) for record in told) == 2
    assert not any(isinstance(record, FramesMissing) for record in told)


def children_of(running: Running) -> list[int]:
    assert running.process is not None
    listed = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text()
    return [int(each) for each in listed.split()]
