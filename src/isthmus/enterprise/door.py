"""The one thread in which a site speaks with its business system. It never holds up the site.

    door = Door(site, opened(section, plant), section)
    door.start() ... door.stop()

The ERP away is a state, not an error: what is settled meanwhile waits in the log.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Final

from isthmus.enterprise.compare import Compare
from isthmus.enterprise.config import ErpSection
from isthmus.enterprise.erp import Erp
from isthmus.enterprise.inbox import Inbox
from isthmus.enterprise.link import Clock, Link, OfSite
from isthmus.enterprise.outbox import Outbox
from isthmus.model.errors import DatabaseAway, ErpAway

_LOG: Final = logging.getLogger(__name__)
_LOOK_S: Final = 0.5
"""How often the log is looked at for something to send; a query of a local table."""
_CHUNK: Final = 25
"""Reports between two looks at the inbox."""


class Door:
    """Inbox and outbox of one business system, in a thread of their own."""

    def __init__(self, site: OfSite, erp: Erp, section: ErpSection, clock: Clock = time.time_ns) -> None:
        self._site = site
        self._erp = erp
        self._section = section
        self._clock = clock
        self._stopping = threading.Event()
        self._compare_now = threading.Event()
        self._thread = threading.Thread(target=self._run, name="erp-door", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, timeout_s: float | None = None) -> None:
        """End after the call that is under way, at the latest after its deadline."""
        self._stopping.set()
        self._thread.join(self._section.deadline_s + 5 if timeout_s is None else timeout_s)

    def compare(self) -> None:
        """Compare the ERP's figures with ours as soon as it can be done."""
        self._compare_now.set()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    rounds = _Rounds(self._site, self._erp, self._section, self._clock)
                except DatabaseAway as error:
                    _LOG.warning("business system: nothing is read or sent before %s", error)
                    self._stopping.wait(self._section.retry_most_s)
                else:
                    rounds.go(self._stopping, self._compare_now)
        finally:
            self._erp.close()


class _Rounds:
    def __init__(self, site: OfSite, erp: Erp, section: ErpSection, clock: Clock) -> None:
        self._section = section
        self._link = Link(site, clock)
        self._inbox = Inbox(site, erp, clock)
        self._outbox = Outbox(site, erp, section, clock)
        self._compare = Compare(site, erp, clock)
        self._orders_known = False
        # Everything is read at the first round: what was deleted while we were away is noticed then.
        self._poll_at = self._whole_at = self._scan_at = 0.0
        self._compare_at = time.monotonic() + section.compare_s

    def go(self, stopping: threading.Event, compare_now: threading.Event) -> None:
        """Rounds until stopped. Only here is a failed one tried again."""
        wait, failures = 0.0, 0
        while not stopping.wait(wait):
            try:
                self._round(stopping, compare_now)
            except ErpAway as error:
                failures += 1
                wait = self._pause(failures)
                if self._link.down(str(error)):
                    _LOG.warning("business system: %s; next try in %.1f s, then again and again", error, wait)
            except DatabaseAway as error:
                failures += 1
                wait = self._pause(failures)
                _LOG.warning("business system: nothing is read or sent while %s", error)
            except Exception:  # noqa: BLE001  the one runner of this thread
                # A full disk or a bug must not end the thread: what is not logged is not sent.
                failures += 1
                wait = self._pause(failures)
                _LOG.exception("business system: a round failed on our side; next try in %.1f s", wait)
            else:
                wait, failures = _LOOK_S * random.uniform(0.8, 1.2), 0  # noqa: S311  pacing, no secret

    def _pause(self, failures: int) -> float:
        longest = min(self._section.retry_most_s, self._section.retry_s * 2 ** min(failures - 1, 16))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  pacing, no secret

    def _round(self, stopping: threading.Event, compare_now: threading.Event) -> None:
        away: ErpAway | None = None
        try:
            self._read()
        except ErpAway as error:
            # Over a bad line a long reading may fail again and again; reports are short and go on.
            away = error
        self._outbox.obey()
        self._outbox.look(orders_known=self._orders_known)
        while not stopping.is_set() and self._outbox.work(_CHUNK) == _CHUNK:
            pass
        if away is not None:
            raise away
        if compare_now.is_set() or time.monotonic() >= self._compare_at:
            self._compare.run()
            self._compare_at = time.monotonic() + self._section.compare_s
            compare_now.clear()

    def _read(self) -> None:
        now = time.monotonic()
        if now < self._poll_at:
            return
        whole = now >= self._whole_at
        if now >= self._scan_at:
            self._inbox.scan()
            self._scan_at = now + self._section.scan_s
        else:
            self._inbox.poll(whole=whole)
        if whole:
            self._whole_at = now + self._section.whole_s
        self._link.up()
        self._orders_known = True
        self._poll_at = now + self._section.poll_s
