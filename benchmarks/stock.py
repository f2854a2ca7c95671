"""Taking stock of a large group and planning a question over it. SIMULATED: lists of real form, no samples behind them.

40 sites with ten years each by default: every day has a list that names its segments and rollups as a
merged day would. The place makes them as they are read, so neither a disk nor the reading of samples is
in these figures; both come on top, at the speed of whatever holds them. Measured are: taking stock of
all of it for the first time, again with nothing new, again with one new day at each site; how long a
question takes until its files are known; how large the centre's own file becomes. `--tags` and `--files`
make a site larger: 25,000 tags and 40 files a day are a million tags in the group.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np

from isthmus.centre.centre import Centre
from isthmus.centre.stock import Stock
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.shipped import Day, Entry, Root, TagEntry

FIRST_DAY = 17_000
ROLLUPS = 2


class Group:
    """A place whose files are made as they are read; a day's files hold eight bytes each."""

    def __init__(self, sites: int, days: int, tags: int, files: int) -> None:
        self.sites = [f"group/plant-{number:02d}" for number in range(1, sites + 1)]
        self.days, self._tags, self._files = days, tags, files
        book = [
            TagEntry(number, TagInfo(name=f"plc{number % 50}/signal-{number}", kind=ValueKind.F64), 0, None)
            for number in range(1, tags + 1)
        ]
        self._book, self._none = shipped.to_json(book), msgspec.msgpack.encode([])
        numbers = np.arange(1, tags + 1, dtype="<i4")
        self._covers = zlib.compress(np.array([numbers, np.full(tags, 86_400)], "<i4").tobytes())
        self.making_s = 0.0
        """How long the simulation itself took; no part of any figure."""

    def read(self, name: str) -> bytes:
        start = time.perf_counter()
        data = self._made(name)
        self.making_s += time.perf_counter() - start
        if data is None:
            raise FileNotFoundError(name)
        return data

    def put(self, name: str, data: bytes) -> None:
        """Nothing is kept."""

    def size(self, name: str) -> int | None:
        return 8 if name.endswith(".parquet") else None

    def names(self, folder: str) -> list[str]:
        return [shipped.folder_of(site) for site in self.sites] if not folder else []

    def remove(self, name: str) -> None:
        """Nothing is kept."""

    def _made(self, name: str) -> bytes | None:
        folder, _, rest = name.partition("/")
        site = shipped.site_of(folder)
        if site is None or rest == shipped.TAIL:
            return None
        number = self.sites.index(site)
        if rest == shipped.ROOT:
            return self._root(site, number)
        date, slash, file = rest.partition("/")
        if not slash:
            return {"json": self._book, "msgpack": self._none, "arrow": b""}[rest.rpartition(".")[2]]
        day = shipped.day_of(date.removeprefix("day="))
        if file.endswith(".json"):
            return self._list(number, day)
        if file.endswith(".arrow"):
            return b""
        return _content(number, day, _index_of(number, day, file, self._files))

    def _root(self, site: str, number: int) -> bytes:
        days = range(FIRST_DAY, FIRST_DAY + self.days)
        lists = {shipped.date_of(day): shipped.hash_of(self._list(number, day)) for day in days}
        return shipped.to_json(
            Root(
                site=site, number=self.days, generation=self.days, wal=0, received_ns=0, shipped_ns=0,
                tags=shipped.hash_of(self._book), corrections=shipped.hash_of(self._none), newest=shipped.hash_of(b""),
                days=lists,
            )
        )  # fmt: skip

    @lru_cache(maxsize=16_384)  # noqa: B019  one group a run
    def _list(self, number: int, day: int) -> bytes:
        names = _names(number, day, self._files)
        count = self._files - ROLLUPS
        width = -(-self._tags // count)
        start = day * NS_PER_DAY
        files = [
            Entry(day * 100 + at, 1, 2_000_000, start, start + NS_PER_DAY - 1, at * width + 1,
                  min((at + 1) * width, self._tags), "ms", 8, names[at])
            for at in range(count)
        ]  # fmt: skip
        made_of = ",".join(str(each.id) for each in files)
        files += [
            Entry(day * 100 + count + at, 1, 300_000, start, start + NS_PER_DAY - 1, 1, self._tags, "ms", 8,
                  names[count + at], bucket_ns=bucket, tags=self._covers, made_of=made_of)
            for at, bucket in enumerate((NS_PER_MINUTE, NS_PER_HOUR))
        ]  # fmt: skip
        return shipped.to_json(Day(day, shipped.hash_of(b""), tuple(files)))


def _content(number: int, day: int, at: int) -> bytes:
    return bytes([number, at, 0, 0]) + day.to_bytes(4, "little")


@lru_cache(maxsize=16_384)
def _names(number: int, day: int, files: int) -> list[str]:
    return [shipped.hash_of(_content(number, day, at)) for at in range(files)]


def _index_of(number: int, day: int, file: str, files: int) -> int:
    return _names(number, day, files).index(file.partition(".")[0])


def seconds(group: Group, what: Callable[[], object]) -> float:
    """How long it takes, without what the simulation takes to make files up."""
    start, making = time.perf_counter(), group.making_s
    what()
    return round(time.perf_counter() - start - (group.making_s - making), 4)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--sites", type=int, default=40)
    arguments.add_argument("--days", type=int, default=3650)
    arguments.add_argument("--tags", type=int, default=2_000, help="of each site")
    arguments.add_argument("--files", type=int, default=5, help="of each day, rollups included")
    given = arguments.parse_args()
    group = Group(given.sites, given.days, given.tags, given.files)
    folder = Path(tempfile.mkdtemp(prefix="bench-group-"))
    stock = Stock(folder, group)
    first = seconds(group, lambda: check(stock, given.sites * given.days))
    again = seconds(group, lambda: check(stock, 0))
    group.days += 1
    one_day = seconds(group, lambda: check(stock, given.sites))
    stock.close()
    figures = {
        "first_stock_s": first,
        "again_nothing_new_s": again,
        "again_a_day_each_s": one_day,
        "stock_mb": round((folder / "stock.sqlite").stat().st_size / 1e6, 1),
        **planning(folder, group, given.sites),
    }
    shutil.rmtree(folder)
    entries = given.sites * (given.days + 1) * given.files
    print("  ".join(f"{name} {value:g}" for name, value in figures.items()))
    line = {"bench": "stock", "simulated": True, **vars(given), "entries": entries}
    print(json.dumps({**line, "load": round(os.getloadavg()[0], 1), "figures": figures}))


def check(stock: Stock, days: int) -> None:
    taken = stock.take()
    assert sum(each.days for each in taken) == days, "not every day was taken in"
    assert not any(each.refused for each in taken)


def planning(folder: Path, group: Group, sites: int) -> dict[str, float]:
    """How long it takes until the files of a question are known, pruned by site, day and tag."""
    out: dict[str, float] = {}
    end = (FIRST_DAY + group.days) * NS_PER_DAY
    with Centre(folder, folder) as centre:
        centre.stock.where = group
        out["find_a_name_in_all_tags_ms"] = 1e3 * seconds(group, lambda: centre.stock.tags("*:plc7/signal-1*7"))
        with centre.snapshot() as held:
            for name, of, days in (
                ("a_week_of_a_site", [1], 7),
                ("a_week_of_all_sites", range(1, sites + 1), 7),
                ("a_year_of_a_site", [1], 365),
                ("ten_years_of_a_site", [1], 3650),
            ):
                start = end - min(days, group.days) * NS_PER_DAY
                tags = np.array([7], np.int32)

                def plan(of: object = of, start: int = start, tags: object = tags) -> None:
                    for site in of:  # type: ignore[attr-defined]
                        view = held.view(site, start, end, rolled=False)
                        assert len(view.segments_of(tags, start, end)) == (end - start) // NS_PER_DAY  # type: ignore[arg-type]

                plan()
                out[f"plan_{name}_ms"] = round(1e3 * seconds(group, plan), 1)
    return out


if __name__ == "__main__":
    main()
