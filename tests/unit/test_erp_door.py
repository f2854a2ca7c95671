"""The door's thread over the site's own façade, and the words of `[erp]`."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from erp_support import CNC_1, PLANT, PaperErp, PaperSection, settled
from isthmus.enterprise.door import Door
from isthmus.enterprise.erps import kinds
from isthmus.enterprise.erps.tryton import TrytonSection
from isthmus.model.records.business import ErpChanged
from isthmus.site.site import Site

ROOT = Path(__file__).resolve().parent.parent.parent
QUICK = PaperSection(retry_s=0.05, retry_most_s=0.05, poll_s=0.05)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_door_works_on_the_sites_own_log_and_tells_each_change_of_the_link(tmp_path: Path) -> None:
    # The door has no use for history.
    site = Site(PLANT, tmp_path, cast("Any", None), cast("Any", None))
    erp = PaperErp()
    door = Door(site, erp, QUICK)
    door.start()

    def changes() -> list[bool]:
        return [record.up for _, record in site.log.read(0) if isinstance(record, ErpChanged)]

    until(lambda: changes() == [True])
    erp.down = True
    until(lambda: changes() == [True, False])
    site.append([settled("7", CNC_1, 10, 60, good=1)])
    erp.down = False
    until(lambda: len(erp.told) == 3)
    assert changes() == [True, False, True]
    door.stop()
    assert erp.down, "the door closed it"
    site.close()


def test_a_full_disk_does_not_end_the_door(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class FullAtFirst(Site):
        failures = 3

        def append(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401  handed on as it is
            if self.failures:
                self.failures -= 1
                raise OSError(28, "No space left on device")
            return super().append(*args, **kwargs)

    site = FullAtFirst(PLANT, tmp_path, cast("Any", None), cast("Any", None))
    door = Door(site, PaperErp(), QUICK)
    door.start()
    until(lambda: bool(site.views.query("SELECT 1 FROM facts WHERE kind = 'ErpChanged'")))
    door.stop()
    site.close()
    assert "No space left" in caplog.text


def test_tryton_is_found_by_its_kind_and_needs_a_reference_to_its_key() -> None:
    assert kinds()["tryton"] is TrytonSection
    told = {"url": "https://erp.example", "database": "works", "user": "isthmus", "key": "s3cret"}
    with pytest.raises(msgspec.ValidationError, match="key"):
        msgspec.convert(told, TrytonSection)
    assert msgspec.convert({**told, "key": "env:KEY"}, TrytonSection).poll_s == 5


def test_the_tests_speak_to_the_tryton_that_the_demo_installs() -> None:
    shipped = set((ROOT / "src/isthmus/run/tryton/requirements.txt").read_text().split())
    peer = tomllib.loads((ROOT / "peers/tryton.toml").read_text())["pip"]
    assert set(peer) <= shipped
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in shipped)
