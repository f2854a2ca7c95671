"""What `isthmus history` prints: what is stored and how well it covers time, as a person reads it."""

from __future__ import annotations

import csv
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Self, TextIO

import msgspec

from isthmus.model.errors import UsageError
from isthmus.model.query import AsOf, Coverage, Last, Raw
from isthmus.model.samples import ValueKind
from isthmus.model.time import NS_PER_DAY, NS_PER_S, iso, to_datetime
from isthmus.site.historian import corrections
from isthmus.site.historian.asking import slowest
from isthmus.site.historian.bringing.imports import Imported, Unfit
from isthmus.site.historian.keeping.sizes import by_tag
from isthmus.site.historian.reader import Reader
from isthmus.site.historian.sealed import waveforms
from isthmus.site.historian.sealed.manifest import NAME, Manifest, Segment

DAYS_SHOWN: Final = 14
_BAR: Final = 24
_STRIP: Final = " ▁▂▃▄▅▆▇█"
_EVER_NS: Final = 1 << 62


def size(count: float) -> str:
    """Bytes as people say them: 3.1 MB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004  the next unit
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def show(folder: Path, *, tags: int, days: int) -> Iterator[str]:
    """What is stored: as a whole, by day, and the largest tags."""
    with Reader(folder) as reader, reader.view() as view:
        known = reader.tags.all().values()
        former = {each.id for each in reader.tags.former()}
        sources = {info.name.partition("/")[0] for info in known}
        yield f"History in {folder}"
        changed = f"; {len(former):,} more from before their kind or unit changed" if former else ""
        yield f"  tags      {len(known):,} of {len(sources)} source{'s' * (len(sources) != 1)}{changed}"
        yield from _whole(view.segments, view.rollups)
        waiting = sum(tail.size for tail in view.tails)
        yield f"  log       {waiting:,} samples in the log, not sealed yet"
        yield from _bursts(folder)
        yield from _put_right(folder)
        yield from _by_day(view.segments, days)
        if tags:
            yield ""
            yield "   samples       size    from                 to                   tag"
            for each in by_tag(view)[:tags]:
                times = f"{iso(each.first_ns)[:19]}Z {iso(each.last_ns)[:19]}Z"
                yield f"{each.rows:>11,} {size(each.bytes):>10}   {times} {reader.tags.info(each.tag).name}{f'#{each.tag}' * (each.tag in former)}"


def _whole(segments: Sequence[Segment], rollups: Sequence[Segment]) -> Iterator[str]:
    if not segments:
        yield "  sealed    nothing yet"
        return
    rows, stored = sum(each.rows for each in segments), sum(each.bytes for each in segments)
    first, last = min(each.time_min for each in segments), max(each.time_max for each in segments)
    length = (last - first) / NS_PER_DAY
    yield f"  from      {iso(first)} to {iso(last)}, {length:,.1f} days"
    yield f"  sealed    {rows:,} samples in {len(segments)} segments, {size(stored)}, {stored / rows:.2f} bytes a sample"
    if rollups:
        yield f"  rollups   {size(sum(each.bytes for each in rollups))} beside them"


def _bursts(folder: Path) -> Iterator[str]:
    if not (folder / waveforms.FOLDER / NAME).exists():
        return
    manifest = Manifest(folder / waveforms.FOLDER, writing=False)
    try:
        found = manifest.segments()
    finally:
        manifest.close()
    if found:
        yield f"  bursts    {sum(each.rows for each in found):,}, {size(sum(each.bytes for each in found))}"


def _put_right(folder: Path) -> Iterator[str]:
    said = put_right(folder)
    if said:
        people = sorted({each.by for each in said})
        yield f"  put right {len(said)} sample{'s' * (len(said) != 1)} by {', '.join(people)}; see isthmus history corrections"


def put_right(folder: Path) -> list[corrections.Correction]:
    """Everything that people put right."""
    manifest = Manifest(folder, writing=False)
    try:
        return corrections.read(manifest)[0]
    finally:
        manifest.close()


def must_hold(folder: Path, name: str, time_ns: int) -> None:
    """Raises UsageError where a tag that there is has no sample at that moment, so that a slip of the pen adds none."""
    with Reader(folder) as reader:
        tag = reader.tags.find(name)
        if tag is None or reader.tags.info(tag).kind is ValueKind.WAVEFORM or abs(time_ns) >= _EVER_NS:
            return  # refused for that, in words of its own
        if reader.query(Raw(), [tag], time_ns, time_ns + 1).num_rows:
            return
        before = reader.query(AsOf(at_ns=(time_ns,)), [tag], time_ns, time_ns + 1)["time_ns"].to_pylist()
    near = f"the one before it stands at {iso(before[0])}" if before else "none stands before it either"
    msg = f"{name} has no sample at {iso(time_ns)} to put right; {near}. /api/history/raw lists them to the last digit"
    raise UsageError(msg)


def _by_day(segments: Sequence[Segment], days: int) -> Iterator[str]:
    found: dict[int, list[Segment]] = defaultdict(list)
    for each in segments:
        found[each.day].append(each)
    if not found:
        return
    shown = sorted(found)[-days:] if days else sorted(found)
    most = max(sum(each.rows for each in found[day]) for day in shown)
    yield ""
    yield "day             samples       size  files"
    if len(shown) < len(found):
        older = [each for day in sorted(found)[: -len(shown)] for each in found[day]]
        rows, stored = sum(each.rows for each in older), sum(each.bytes for each in older)
        yield f"{len(found) - len(shown):>3} before {rows:>12,} {size(stored):>10} {len(older):>6}   --days 0 shows them"
    for day in shown:
        rows, stored = sum(each.rows for each in found[day]), sum(each.bytes for each in found[day])
        bar = "█" * max(round(_BAR * rows / most), 1)
        late = "  late data to be merged" if any(each.overlap for each in found[day]) else ""
        date = to_datetime(day * NS_PER_DAY).date()
        yield f"{date} {rows:>12,} {size(stored):>10} {len(found[day]):>6}   {bar}{late}"


def coverage(folder: Path, pattern: str, days: int) -> Iterator[str]:
    """Of each tag how much of each of the last days was observed with a usable value."""
    with Reader(folder) as reader:
        tags = {number: info.name for number, info in reader.tags.all().items() if fnmatchcase(info.name, pattern)}
        newest = reader.query(Last(), list(tags), 0, _EVER_NS)["time_ns"].to_pylist()
        if not newest:
            yield f"no sample of a tag that matches {pattern}"
            return
        last = max(newest) // NS_PER_DAY
        first = last - days + 1
        end_ns = max(newest) + 1
        table = reader.query(Coverage(bucket_ns=NS_PER_DAY), list(tags), first * NS_PER_DAY, end_ns)
    good: dict[int, dict[int, int]] = defaultdict(dict)
    for row in table.to_pylist():
        good[row["tag"]][row["bucket_ns"] // NS_PER_DAY] = row["good_ns"]
    length = {day: min(NS_PER_DAY, end_ns - day * NS_PER_DAY) for day in range(first, last + 1)}
    yield f"usable values, {to_datetime(first * NS_PER_DAY).date()} to {to_datetime(last * NS_PER_DAY).date()}, a sign a day"
    for number, name in sorted(tags.items(), key=lambda item: item[1]):
        shares = [good[number].get(day, 0) / length[day] for day in length]
        whole = sum(good[number].values()) / sum(length.values())
        strip = "".join(_STRIP[min(int(share * 8 + 0.999), 8)] for share in shares)
        yield f"{whole:>7.1%}  {strip}  {name}"


def slow(folder: Path) -> Iterator[str]:
    """The questions that took longest."""
    found = slowest.read(folder)
    if not found:
        yield f"no question of the last days took longer than {slowest.FROM_S * 1000:g} ms"
        return
    yield "  seconds  asked                 question"
    with Reader(folder) as reader:
        names = reader.tags.all()
        for each in found:
            more = f" and {each.tag_count - len(each.tags)} more" if each.tag_count > len(each.tags) else ""
            tags = ", ".join(names[tag].name if tag in names else str(tag) for tag in each.tags[:3])
            if each.tag_count > 3:  # noqa: PLR2004  as many as a line holds
                more = f" and {each.tag_count - 3} more"
            asked = msgspec.to_builtins(each.question)
            with_ = "".join(f" {key}={value}" for key, value in asked.items() if key != "type")
            hours = (each.end_ns - each.start_ns) / NS_PER_S / 3600
            over = f" over {hours:,.1f} h" if hours < 24 * 365 * 100 else ""
            yield f"{each.seconds:>9.3f}  {iso(each.asked_ns)[:19]}Z  {asked['type']}{with_[:60]}{over}: {tags}{more}"


class Listed:
    """Rows that did not fit, in a CSV that is only made when there is one; with `more`, behind what stands there."""

    def __init__(self, path: Path, of: Path, *, more: bool = False) -> None:
        self._path, self._of, self._more = path, of, more
        self._file: TextIO | None = None
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file:
            try:
                self._file.close()
            except OSError as error:
                error.filename = str(self._path)
                raise

    def __call__(self, unfit: Unfit) -> None:
        """List one row."""
        try:
            if self._file is None:
                self._file = self._path.open("a" if self._more else "w", encoding="utf-8", newline="")
                if not self._file.tell():
                    csv.writer(self._file).writerow(["file", "line", "tag", "why", "kept"])
            kept = "as a Bad sample" if unfit.kept else "no"
            csv.writer(self._file).writerow([self._of, unfit.line, unfit.name, unfit.why, kept])
        except OSError as error:
            error.filename = str(self._path)
            raise
        self.rows += 1


class Progress:
    """How far a long task is, on the error stream; a line that renews itself where a person looks on."""

    def __init__(self, what: str) -> None:
        self._what, self._began, self._told = what, time.monotonic(), 0.0
        self._person = sys.stderr.isatty()

    def __call__(self, done: Imported) -> None:
        """Tell, at most five times a second to a person and every ten seconds to a file."""
        now = time.monotonic()
        if now - self._told < (0.2 if self._person else 10.0):
            return
        self._told = now
        rate = done.rows / max(now - self._began, 1e-3)
        bar = "█" * round(_BAR * done.share)
        left = (now - self._began) * (1 / done.share - 1) if done.share > 0.01 else 0.0  # noqa: PLR2004  else a guess
        text = (
            f"{self._what} {bar:·<{_BAR}} {done.share:>4.0%}  {done.rows:,} samples, {rate:,.0f}/s, {left:,.0f} s left"
        )
        print(f"\r{text}" if self._person else text, end="" if self._person else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._person and self._told:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class Counted:
    """How many of a number are done, on the error stream of a person who looks on."""

    def __init__(self, what: str) -> None:
        self._what, self._told = what, 0.0
        self._person = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._told:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __call__(self, done: int, of: int) -> None:
        """Tell, at most five times a second."""
        if self._person and time.monotonic() - self._told >= 0.2:  # noqa: PLR2004  s
            self._told = time.monotonic()
            print(f"\r{self._what}: {done:,} of {of:,}", end="", file=sys.stderr, flush=True)
