"""Bringing a past along from other systems' files (see exports.py), resumable, and nothing dropped in silence.

Times are ISO 8601, PI's `22-Nov-26 14:05:00.12`, or numbers since 1970 (s, ms, µs or ns, told apart by
their size); a time without a zone is read in the zone that is given.

A file is cut into pieces that are named by its content, how it is read and their number, and go in like
frames. So an import that was stopped is just started again: what was taken in is passed over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.model import status as st
from isthmus.model.errors import UsageError
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_S, from_datetime
from isthmus.site.config import HistorianSection
from isthmus.site.historian.bringing import exports
from isthmus.site.historian.bringing.exports import Columns, Opened, Said
from isthmus.site.historian.bringing.import_times import NO_SUCH, Times
from isthmus.wire.frame import source_id

ROWS: Final = 10_000
"""Rows of a piece: few enough that what is live waits for its turn a few milliseconds at most."""
MOST_HELD: Final = 500_000
"""Rows that wait for their tag's first value at most."""
_KINDS: Final = tuple(ValueKind)
_EXACT: Final = 2**53
_UNKNOWN: Final = -1


class Book(Protocol):
    """What an import asks of a book of tags."""

    def intern_all(self, infos: Sequence[TagInfo]) -> list[int]:
        """The number of each tag, given to it now if it has none."""
        ...

    def find(self, name: str) -> int | None:
        """The number that a name has now, or None."""
        ...

    def info(self, tag: int, /) -> TagInfo:
        """What a number stands for."""
        ...


class Into(Protocol):
    """What an import goes into: a store, or the hands of a site that has it (run/hand_history.py)."""

    @property
    def section(self) -> HistorianSection:
        """From when on samples are believed."""
        ...

    @property
    def tags(self) -> Book:
        """The tags that there are."""
        ...

    def append(self, batches: Sequence[Batch]) -> None:
        """As `Historian.append`."""
        ...


class Imported(NamedTuple):
    """How far an import is."""

    rows: int
    """Samples taken in so far, those of an earlier try included."""
    odd: int
    """Of these, values that their tag cannot hold: kept as Bad samples without a value, and listed."""
    unread: int
    """Rows that are no sample: left out, and listed."""
    share: float = 0.0
    """How much of the file was read, 0 to 1."""
    mixed: tuple[str, ...] = ()
    """New tags that are kept as texts because of some words, although most of their values are numbers."""
    doubled: int = 0
    """Samples in an hour that the zone's clock goes through twice."""


class Unfit(NamedTuple):
    """One row that did not fit."""

    line: int
    name: str
    why: str
    kept: bool
    """True: it is in history as a Bad sample without a value."""


class How(NamedTuple):
    """How a file is to be read."""

    dialect: str = ""
    """One of exports.DIALECTS; "" finds it by the file's first lines."""
    named: Columns = Columns()
    zone: str = "UTC"
    """Of times that name none."""
    names: Mapping[str, str] = {}
    """Ignition's tag ids to their paths."""


def import_file(  # noqa: PLR0913  what a file needs to be read by
    store: Into,
    path: Path,
    source: str,
    how: How | None = None,
    *,
    unfit: Callable[[Unfit], None] = lambda _: None,
    progress: Callable[[Imported], None] | None = None,
) -> Imported:
    """Take a file in as samples of `source/<its tag>`. Raises UsageError when it cannot be read, OSError."""
    how = how or How()
    _possible(path, source, how.zone)
    how = how._replace(dialect=how.dialect or exports.detect(path))
    taking = _Taking(store, source, _name(path, how), unfit)
    done = Imported(0, 0, 0)
    times, silent = Times(how.zone), _Silent()
    with duckdb.connect() as db, _stopping():
        db.execute("SET threads = 1")
        pieces = ((silent.pass_by(times.read(db, said)), share) for said, share in _pieces(db, path, how))
        for number, (table, share) in enumerate(chain(pieces, silent.rest()), 1):
            odd, bad = taking.take(number, table)
            rows = done.rows + table.num_rows - bad
            done = Imported(rows, done.odd + odd, done.unread + bad, share, tuple(taking.mixed), times.doubled)
            if progress is not None:
                progress(done)
    return done


@contextmanager
def _stopping() -> Iterator[None]:
    """A person's Ctrl-C, which DuckDB makes an error of its own while it is at work."""
    try:
        yield
    except RuntimeError as error:
        if "interrupted" not in str(error).lower():
            raise
        raise KeyboardInterrupt from error


def _possible(path: Path, source: str, zone: str) -> None:
    if not path.is_file():
        msg = f"{path} is a folder; name its files" if path.is_dir() else f"{path} is not there"
        raise UsageError(msg)
    if not source or "/" in source or any(sign.isspace() for sign in source):
        msg = f"the source cannot be called {source!r}; a name without spaces and without / is needed, as oven-2"
        raise UsageError(msg)
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        msg = f"the zone {zone!r} is not known; write it as Europe/London, or UTC"
        raise UsageError(msg) from error


def _name(path: Path, how: How) -> int:
    """The epoch of a file read this way: read otherwise, it is another one."""
    found = blake2b(repr((ROWS, how.dialect, how.named, how.zone, sorted(how.names.items()))).encode(), digest_size=8)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            found.update(chunk)
    return int.from_bytes(found.digest(), "little") & 0x7FFF_FFFF_FFFF_FFF0


def _pieces(db: duckdb.DuckDBPyConnection, path: Path, how: How) -> Iterator[tuple[pa.Table, float]]:
    """Tables of `Said`, each with the share of the file that was read."""
    if path.suffix == ".parquet":
        yield from _parquet(db, path, how.named)
        return
    size = max(path.stat().st_size, 1)
    text, delimiter, below = exports.open_text(path)
    with text, below, exports.unpacking(path):
        if how.dialect == "lines":
            said = exports.lines(text)
        else:
            opened = Opened(path, exports.rows_of(text, delimiter, path), delimiter)
            said = exports.READERS[how.dialect](opened, how.named, how.names)
        while rows := list(islice(said, ROWS)):
            table = pa.table(dict(zip(Said._fields, map(pa.array, zip(*rows, strict=True)), strict=True)))
            if delimiter == ";":
                comma = pc.match_substring_regex(table["word"], r"^\s*[-+]?\d+,\d+([eE][-+]?\d+)?\s*$")
                plain = pc.if_else(comma, pc.replace_substring(table["word"], ",", "."), table["word"])
                table = table.set_column(3, "word", plain)
            yield table, min(below.tell() / size, 1.0)


def _parquet(db: duckdb.DuckDBPyConnection, path: Path, named: Columns) -> Iterator[tuple[pa.Table, float]]:
    try:
        there = dict(
            row[:2] for row in db.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": str(path)}).fetchall()
        )
        lacking = [each for each in named if each and each not in there]
        if lacking:
            msg = f"{path} has no column {', '.join(lacking)}; it has {', '.join(there)}"
            raise UsageError(msg)
        tag, when, value = (_quoted(each) for each in named[:3])
        zoned = there[named.time] == "TIMESTAMP WITH TIME ZONE"
        moment = f"epoch_ns({when})::VARCHAR || 'ns'" if zoned else f"{when}::VARCHAR"
        status = f"{_quoted(named.status)}::VARCHAR" if named.status else "''"
        sql = (
            f"SELECT row_number() OVER () AS line, coalesce({tag}::VARCHAR, '') AS name, coalesce({moment}, '') AS \"when\","  # noqa: S608  quoted names
            f" coalesce({value}::VARCHAR, '') AS word, coalesce({status}, '') AS status FROM read_parquet($path)"
        )
        rows = int(db.execute("SELECT count(*) FROM read_parquet($path)", {"path": str(path)}).fetchall()[0][0])
        done = 0
        reader = db.cursor().sql(sql, params={"path": str(path)}).to_arrow_reader(ROWS)
        for batch in reader:
            done += batch.num_rows
            yield pa.Table.from_batches([batch]), done / max(rows, 1)
    except duckdb.Error as error:
        msg = f"{path} cannot be read as a table: {str(error).splitlines()[0]}"
        raise UsageError(msg) from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_SYSTEM: Final[Mapping[str, int]] = {
    "bad": st.BAD,
    "bad input": st.BAD_SENSOR_FAILURE,
    "bad data": st.BAD,
    "bad total": st.BAD,
    "bad quality": st.BAD,
    "calc failed": st.BAD_CONFIGURATION_ERROR,
    "calc off": st.BAD_OUT_OF_SERVICE,
    "comm fail": st.BAD_COMMUNICATION_ERROR,
    "configure": st.BAD_CONFIGURATION_ERROR,
    "i/o timeout": st.BAD_TIMEOUT,
    "intf shut": st.BAD_NO_COMMUNICATION,
    "no data": st.BAD_NO_DATA,
    "no result": st.BAD_NO_DATA,
    "not connect": st.BAD_NOT_CONNECTED,
    "out of serv": st.BAD_OUT_OF_SERVICE,
    "over range": st.BAD_OUT_OF_RANGE,
    "under range": st.BAD_OUT_OF_RANGE,
    "pt created": st.BAD_WAITING_FOR_INITIAL_DATA,
    "scan off": st.BAD_OUT_OF_SERVICE,
    "scan timeout": st.BAD_TIMEOUT,
    "shutdown": st.BAD_NO_COMMUNICATION,
    "unit down": st.BAD_OUT_OF_SERVICE,
}
"""PI's system states that say why there is no value, and the OPC UA status that says the same."""
_GRADES: Final[Mapping[str, int]] = {
    "": st.GOOD,
    "good": st.GOOD,
    "0": st.GOOD,
    "o.k.": st.GOOD,
    "substituted": 0x0096_0000,
    "s": 0x0096_0000,
    "annotated": st.GOOD,
    "a": st.GOOD,
    "questionable": st.UNCERTAIN,
    "q": st.UNCERTAIN,
    "bad": st.BAD,
    **_SYSTEM,
}
"""What stands in a column of status, in words; substituted is GoodLocalOverride."""


def _status(word: str) -> int:
    """A status as OPC UA has it: a grade in words, an OPC DA quality `da:192`, or the number itself; else _UNKNOWN."""
    if word.startswith("da:"):
        quality = int(word[3:]) if word[3:].isdigit() else _UNKNOWN
        if not 0 <= quality < 256:  # noqa: PLR2004  Ignition's own error codes stand above
            return st.BAD if quality >= 0 else _UNKNOWN
        return {0xC0: st.GOOD, 0x40: st.UNCERTAIN}.get(quality & 0xC0, st.BAD)
    grade = _GRADES.get(word.strip().lower())
    if grade is not None:
        return grade
    return int(word) if word.isdigit() and int(word) < 1 << 32 else _UNKNOWN


class _Silent:
    """Holds back what is said of a tag before its first value, as "Pt Created": only a value tells a tag's kind.

    It depends on the file alone, so that an import that is started again makes the same pieces.
    """

    def __init__(self) -> None:
        self._spoke: set[str] = set()
        self._held: list[pa.Table] = []

    def pass_by(self, table: pa.Table) -> pa.Table:
        """A piece without the rows that must wait, with those that need wait no longer in front."""
        fresh = set(pc.unique(table["name"]).to_pylist()) - self._spoke - {""}
        if not fresh:
            return table
        word, status, system = _worth(table)
        names = table["name"].to_pylist()
        says = word.is_valid().to_numpy(zero_copy_only=False) & (status >= 0) & (system == 0)
        spoke = fresh & {names[at] for at in np.flatnonzero(says).tolist()}
        waits = pa.array([name in fresh and name not in spoke for name in names], pa.bool_())
        self._spoke |= spoke
        held = pa.concat_tables([*self._held, table.filter(waits)])
        if held.num_rows > MOST_HELD:
            self._spoke |= set(held["name"].to_pylist())
        ready = pc.is_in(held["name"], pa.array(list(self._spoke), pa.string()))
        self._held = [held.filter(pc.invert(ready))]
        return pa.concat_tables([held.filter(ready), table.filter(pc.invert(waits))])

    def rest(self) -> Iterator[tuple[pa.Table, float]]:
        """What is still held at the file's end: tags that never had a value."""
        yield from ((each, 1.0) for each in self._held if each.num_rows)


class _Taking:
    """Puts pieces of one file into a store."""

    def __init__(self, store: Into, source: str, epoch: int, unfit: Callable[[Unfit], None]) -> None:
        self._store, self._source, self._epoch, self._unfit = store, source, epoch, unfit
        self.mixed: list[str] = []
        section = store.section
        self._earliest_ns = from_datetime(datetime.combine(section.earliest, datetime.min.time(), tzinfo=UTC))
        self._ahead_ns = int(section.future_s * NS_PER_S)

    def take(self, number: int, table: pa.Table) -> tuple[int, int]:
        """One piece; how many values their tags cannot hold, and how many rows are no samples."""
        now = time.time_ns()
        table, unread = self._sound(table, now)
        if not table.num_rows:
            return 0, unread
        word, status, system = _worth(table)
        name = table["name"].combine_chunks().dictionary_encode()
        name = name.chunk(0) if isinstance(name, pa.ChunkedArray) else name
        code, names = name.indices.to_numpy(), [f"{self._source}/{each}" for each in name.dictionary.to_pylist()]
        known = (status >= 0) & ~(system != 0)
        ids, kinds = self._intern(names, code, word, known)
        odd, batches = 0, []
        for kind in sorted(set(kinds)):
            which = np.flatnonzero(np.array([each == kind for each in kinds])[code])
            value, wrong = _as_kind(word.take(pa.array(which)), kind)
            its_status = np.where(status[which] < 0, st.BAD, status[which]).astype(np.uint32)
            its_status[wrong & (system[which] == 0)] = st.BAD_TYPE_MISMATCH
            told = system[which] != 0
            wrong &= ~told
            if told.any():  # "Bad Input" says why there is no value, also for a tag of texts
                value = pc.if_else(pa.array(told), pa.scalar(None, value.type), value)
                its_status[told] = system[which][told]
            for at in np.flatnonzero(wrong | (status[which] < 0)).tolist():
                self._tell(table, int(which[at]), kind, by_status=not wrong[at])
                odd += 1
            batch = columns(kind, ids[code[which]], table["time_ns"].to_numpy()[which], its_status, value)
            mine = self._epoch + _KINDS.index(kind)
            batches.append(Batch(source_id(f"{self._source}#import"), mine, number, now, batch))
        self._store.append(batches)
        return odd, unread

    def _tell(self, table: pa.Table, row: int, kind: ValueKind, *, by_status: bool) -> None:
        word = table["status" if by_status else "word"][row].as_py()
        what = f"its status {word!r} is not known" if by_status else f"{word!r} is no value of kind {kind}"
        self._unfit(Unfit(table["line"][row].as_py(), table["name"][row].as_py(), what, kept=True))

    def _sound(self, table: pa.Table, now: int) -> tuple[pa.Table, int]:
        """The rows that are samples; the others are told."""
        time_ns, named = table["time_ns"], pc.not_equal(table["name"], "")
        timed = time_ns.is_valid()
        early = pc.fill_null(pc.less(time_ns, self._earliest_ns), False)  # noqa: FBT003
        late = pc.fill_null(pc.greater(time_ns, now + self._ahead_ns), False)  # noqa: FBT003
        good = pc.and_(pc.and_(named, timed), pc.invert(pc.or_(early, late)))
        bad = table.append_column("early", early).append_column("late", late).filter(pc.invert(good))
        for row in bad.to_pylist():
            if not row["name"]:
                why = "it has no tag, or is not formed like the others"
            elif not row["when"]:
                why = "it has no time"
            elif row["time_ns"] is None:
                why = f"its time {row['when']!r} cannot be read"
            elif row["time_ns"] == NO_SUCH:
                why = (
                    f"its time {row['when']!r} was left out by the zone's clock when summer time began; "
                    "perhaps the zone is another, as Etc/GMT-1 for an hour ahead of UTC all year"
                )
            elif row["early"]:
                why = f"its time {row['when']!r} lies before the earliest day believed, [historian] earliest"
            else:
                why = f"its time {row['when']!r} lies in the future"
            self._unfit(Unfit(row["line"], row["name"], why, kept=False))
        return table.filter(good), bad.num_rows

    def _intern(
        self, names: Sequence[str], code: np.ndarray, word: pa.Array, known: np.ndarray
    ) -> tuple[np.ndarray, list[ValueKind]]:
        """Ids and kinds of tags: as they are known, else text where a text was met first, else a number."""
        number = _floats(word)
        has = word.is_valid().to_numpy(zero_copy_only=False) & known
        is_number = _numeric(word).to_numpy(zero_copy_only=False)
        words = np.bincount(code[has & ~is_number], minlength=len(names))
        numbers = np.bincount(code[has & is_number], minlength=len(names))
        texts = words > 0
        self.mixed += [
            name for at, name in enumerate(names) if 0 < words[at] < numbers[at] and self._store.tags.find(name) is None
        ]
        whole = pc.fill_null(pc.match_substring_regex(word, r"^\s*[-+]?\d+\s*$"), False)  # noqa: FBT003
        fraction = np.bincount(code[has & ~whole.to_numpy(zero_copy_only=False)], minlength=len(names)) > 0
        size = np.abs(pc.fill_null(number, 0.0).to_numpy())
        large = np.bincount(code[has & (size > _EXACT)], minlength=len(names)) > 0
        new = [
            TagInfo(name=name, kind=ValueKind.STR if text else ValueKind.I64 if exact else ValueKind.F64)
            for name, text, exact in zip(names, texts.tolist(), (large & ~fraction).tolist(), strict=True)
            if self._store.tags.find(name) is None
        ]
        self._store.tags.intern_all(new)
        ids = [self._store.tags.find(name) or 0 for name in names]
        return np.array(ids, np.int32), [self._store.tags.info(tag).kind for tag in ids]


def _worth(table: pa.Table) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Of each row its word (null for none), its status (_UNKNOWN for one nobody knows), and its system state or 0."""
    word = table["word"].combine_chunks()
    word = pc.if_else(pc.equal(pc.utf8_trim_whitespace(word), ""), pa.scalar(None, word.type), word)
    grades = table["status"].combine_chunks().dictionary_encode()
    grade = np.array([_status(each) for each in grades.dictionary.to_pylist()] or [0], np.int64)[grades.indices]
    words = pc.utf8_lower(pc.utf8_trim_whitespace(word)).dictionary_encode()
    codes = pc.fill_null(words.indices, len(words.dictionary)).to_numpy()
    system = np.array([*(_SYSTEM.get(each, 0) for each in words.dictionary.to_pylist()), 0], np.int64)[codes]
    return word, grade, system


_NUMBER: Final = r"(?i)^\s*[-+]?((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan|inf|infinity)\s*$"


def _numeric(word: pa.Array) -> pa.Array:
    """Where a word is written as a number, NaN and infinities among them."""
    return pc.fill_null(pc.match_substring_regex(word, _NUMBER), False)  # noqa: FBT003


def _floats(word: pa.Array) -> pa.Array:
    """The words as doubles; null where one is no number, or none that a double holds."""
    trimmed = pc.utf8_trim_whitespace(word.cast(pa.string()))
    fits = _numeric(trimmed)
    number = pc.cast(pc.if_else(fits, pc.utf8_ltrim(trimmed, "+"), pa.scalar(None, pa.string())), pa.float64())
    beyond = pc.and_(pc.is_inf(number), pc.match_substring_regex(trimmed, r"\d"))
    return pc.if_else(pc.fill_null(beyond, False), pa.scalar(None, pa.float64()), number)  # noqa: FBT003


def _as_kind(word: pa.Array, kind: ValueKind) -> tuple[pa.Array, np.ndarray]:
    """Words as values of a kind, null where one is none of it; and where that is so."""
    has = word.is_valid().to_numpy(zero_copy_only=False)
    if kind is ValueKind.STR:
        return word.cast(pa.string()), np.zeros(len(word), bool)
    if kind is ValueKind.F64:
        value = _floats(word)
    elif kind is ValueKind.I64:
        value = pa.array([_whole(each) for each in word.to_pylist()], pa.int64())
    elif kind is ValueKind.BOOL:
        truth = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}
        value = pa.array([truth.get(each.strip().lower()) if each else None for each in word.to_pylist()], pa.bool_())
    else:
        value = pa.nulls(len(word), pa.list_(pa.float32()))
    return value, has & ~value.is_valid().to_numpy(zero_copy_only=False)


def _whole(word: str | None) -> int | None:
    """A whole number of 64 bits, digit by digit: a double would lose those beyond 2^53."""
    if word is None:
        return None
    try:
        number = int(word)
    except ValueError:
        try:
            real = float(word)
        except ValueError:
            return None
        number = int(real) if real.is_integer() and abs(real) <= _EXACT else 1 << 63
    return number if -(1 << 63) <= number < 1 << 63 else None


__all__ = ["Columns", "How", "Imported", "Unfit", "import_file"]
