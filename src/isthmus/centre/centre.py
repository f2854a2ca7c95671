"""The centre: one door to the history of all sites.

    with Centre(Path("var/centre"), Path("/mnt/group")) as centre:
        centre.take()
        tags = [tag.id for tag in centre.stock.tags("acme/*:press*/power")]
        table = centre.query(Aggregate(bucket_ns=NS_PER_HOUR), tags, start_ns, end_ns)
        for table in centre.waveforms(tags, start_ns, end_ns): ...
        for found in centre.read_records(Asked(start_ns, end_ns, about="LOT-7")): ...

Questions are those of model.query, their answers the same, with the group's tags: a site's number and the
site's tag in one int32. DuckDB in this process answers screens, with rollups; a cluster large scans.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from time import time_ns
from typing import NamedTuple, Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.centre import answers, records
from isthmus.centre.bursts import Bursts, Site
from isthmus.centre.record_stock import RecordStock
from isthmus.centre.records import Asked, Found
from isthmus.centre.snapshot import Cache, Snapshot
from isthmus.centre.stock import TAG_BITS, Known, Stock, Taken
from isthmus.model import query as q
from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.model.query import Operator
from isthmus.site.historian.asking.engine import Engine
from isthmus.site.historian.sealed.view import Files, View
from isthmus.site.historian.shipping import shipped


class Part(NamedTuple):
    """What is asked of one site."""

    site: int
    view: View
    tags: NDArray[np.int32]
    """The site's own, in order, each once."""

    @property
    def offset(self) -> int:
        """What makes a tag of the site one of the group."""
        return self.site << TAG_BITS


class Asks(Protocol):
    """An engine that answers over several sites."""

    def query(self, parts: Sequence[Part], operator: Operator, start_ns: int, end_ns: int) -> pa.Table:
        """The answer with the group's tags, as model.query promises it."""
        ...


class Centre:
    """`folder` is its own, `group` where the sites ship to. Any thread may ask."""

    def __init__(self, folder: Path, group: Path) -> None:
        if not group.is_dir():
            msg = f"{group} is not there; give the folder that the sites ship to with --group"
            raise UsageError(msg)
        self.group = group
        self.stock = Stock(folder, shipped.place(str(group)))
        self._files, self._screens = Files(group.absolute()), Screens()
        self._cache = Cache()
        self.bursts, self.records = Bursts(folder, group), RecordStock(folder, self.stock.where)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self._screens.close()
        self.bursts.close()
        self.records.close()
        self.stock.close()

    def take(self) -> list[Taken]:
        """Take stock: what the sites shipped since. Raises OSError when the group's folder cannot be read.

        Bursts and records have stocks of their own, `bursts` and `records`, with a `take` each.
        """
        return self.stock.take()

    def heard_ns(self, site: Known) -> int:
        """Until when a site told what there was: its list, or the tail behind it."""
        listed = shipped.read_tail(self.stock.where, site.name)
        return max(site.shipped_ns, listed.shipped_ns if listed else 0)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """What counts now; no file of it is deleted until it is given back, for an hour at most."""
        held = Snapshot(self.stock, self._files, self._cache, now_ns=time_ns())
        try:
            yield held
        finally:
            held.release()

    def query(
        self, operator: Operator, tags: Sequence[int], start_ns: int, end_ns: int, *, engine: Asks | None = None
    ) -> pa.Table:
        """Answer a question over [start_ns, end_ns), by DuckDB unless another engine is given.

        What was taken stock of last is asked, and each site's tail as it is now. When a site sealed since, stock
        is taken first; when a file went meanwhile, stock is taken and the question asked once more.
        """
        numbers = set((np.unique(np.asarray(tags, np.int32)) >> TAG_BITS).tolist())
        if self.stock.behind(each.name for each in self.stock.sites() if each.number in numbers):
            self.take()
        try:
            return self._query(operator, tags, start_ns, end_ns, engine or self._screens)
        except StoreDamaged:
            self.take()
            return self._query(operator, tags, start_ns, end_ns, engine or self._screens)

    def waveforms(
        self, tags: Sequence[int], start_ns: int, end_ns: int, *, readings: bool = False
    ) -> Iterator[pa.Table]:
        """The bursts of these tags that begin within [start_ns, end_ns), as `Bursts.read` gives them."""
        wanted = np.unique(np.asarray(tags, np.int32))
        asked = []
        for each in self.stock.sites():
            its = wanted[wanted >> TAG_BITS == each.number] & ((1 << TAG_BITS) - 1)
            if len(its):
                asked.append(Site(each.name, each.number << TAG_BITS, its.tolist()))
        return self.bursts.read(asked, start_ns, end_ns, readings=readings)

    def read_records(self, asked: Asked, site: str = "*") -> Iterator[Found]:
        """The records that fit, of the sites whose name fits a pattern of `*` and `?`."""
        return records.read(
            self.records, [each.site for each in self.records.logs() if fnmatchcase(each.site, site)], asked
        )

    def _query(self, operator: Operator, tags: Sequence[int], start_ns: int, end_ns: int, engine: Asks) -> pa.Table:
        wanted = np.unique(np.asarray(tags, np.int32))
        first, last = stretch(operator, start_ns, end_ns)
        if isinstance(operator, q.CounterDelta):
            first -= q.COUNTED_BACK_NS  # where what was in force is Bad, the last usable reading stands before it
        rolled = engine is self._screens and isinstance(operator, q.Aggregate | q.Decimate)
        with self.snapshot() as held:
            parts = []
            for site in np.unique(wanted >> TAG_BITS).tolist():
                if site not in held.sites:
                    msg = f"there is no site {site}; `isthmus centre status` lists those there are"
                    raise UsageError(msg)
                its = (wanted[wanted >> TAG_BITS == site] & ((1 << TAG_BITS) - 1)).astype(np.int32)
                parts.append(Part(site, held.view(site, first, last, rolled=rolled), its))
            return engine.query(parts, operator, start_ns, end_ns) if parts else answers.none(operator)


class Screens:
    """DuckDB in this process: site by site, each as the site itself would answer."""

    def __init__(self) -> None:
        self._engine = Engine()

    def close(self) -> None:
        """Let go of memory."""
        self._engine.close()

    def query(self, parts: Sequence[Part], operator: Operator, start_ns: int, end_ns: int) -> pa.Table:
        """As `Asks.query`."""
        each_is_asked = answers.unlimited(operator)
        found = []
        for part in parts:
            table = self._engine.query(part.view, each_is_asked, part.tags, start_ns, end_ns)
            if "tag" in table.column_names:
                tags = pa.array((table["tag"].to_numpy() + part.offset).astype(np.int32))
                table = table.set_column(table.column_names.index("tag"), "tag", tags)
            found.append(table)
        return answers.together(operator, found)


def stretch(operator: Operator, start_ns: int, end_ns: int) -> tuple[int, int]:
    """Of which stretch of time an operator needs the files, for a question about [start_ns, end_ns)."""
    if isinstance(operator, q.AsOf):
        return min(operator.at_ns, default=0), max(operator.at_ns, default=-1) + 1
    return (end_ns, end_ns) if isinstance(operator, q.Last) else (start_ns, end_ns)
