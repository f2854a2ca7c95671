"""Sites of the bus tests: one that publishes, and what it takes to wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nats_servers import Server

from isthmus.model.records.people import JobStarted
from isthmus.site.publish.buses.nats import NatsSection
from isthmus.site.publish.publisher import Publisher
from isthmus.site.publish.spool import Spool
from spine import MONDAY, Spine, body, dictionary, of_events

PLANT = "acme/northgate"


def section(server: Server, **more: object) -> NatsSection:
    given = {"servers": (server.address,), "monitor": (server.watched,), "replicas": 1, "retry_most_s": 0.5, **more}
    return NatsSection(**given)  # type: ignore[arg-type]


class Publishing:
    """A site that publishes: its ingest, its log, its publisher, which can be stopped and begun again."""

    def __init__(self, folder: Path, section: NatsSection, stores: Spine | None = None) -> None:
        self.spool = Spool(folder / "bus" / "frames", section.keep_mb * 1_000_000)
        self.spine = Spine(
            folder,
            keep=self.spool.keep,
            historian=stores.historian if stores else None,
            tags=stores.tags if stores else None,
        )
        self.section = section
        self._publishers: list[tuple[threading.Thread, threading.Event]] = []
        self._last = 0

    def begin(self) -> Publisher:
        publisher = Publisher(self.spine.site, self.section, self.spool, self.spine.ingest.dictionaries)
        stop = threading.Event()
        thread = threading.Thread(target=publisher.run, args=(stop,))
        thread.start()
        self._publishers.append((thread, stop))
        return publisher

    def end(self) -> None:
        for thread, stop in self._publishers:
            stop.set()
            thread.join(20)
            assert not thread.is_alive()
        self._publishers.clear()

    def close(self) -> None:
        self.end()
        self.spine.close()
        self.spool.close()

    def take(self, count: int) -> None:
        """So many frames come from the edge, and are acknowledged."""
        for seq in range(self._last + 1, self._last + count + 1):
            frame = of_events("plc", seq, [(MONDAY + seq, "parts", seq)])[0]
            self.spine.ingest.take("edge-1", body(dictionary("plc"), frame))
        self._last += count

    def say(self, first: int, count: int) -> None:
        """A person says so many things."""
        for number in range(first, first + count):
            said = JobStarted(
                path=f"{PLANT}/machining/cnc-01", time_ns=MONDAY + number, order=str(number), by="ann", said_ns=MONDAY
            )
            self.spine.site.append([said])


@contextmanager
def publishing(folder: Path, bus: NatsSection) -> Iterator[Publishing]:
    made = Publishing(folder, bus)
    try:
        yield made
    finally:
        made.close()


def wait_for(what: Callable[[], bool], within_s: float = 20) -> None:
    until = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


def published(publisher: Publisher) -> bool:
    return not any(publisher.waiting.values())
