"""Samples of every value kind side by side: what the head holds, what is sorted, merged and sealed.

A row's value stands in 64 bits, and `form` says what they mean:

    NONE  the sample carries no value        INT   a whole number, or 0 and 1 for a truth
    REAL  the bits of a float64              TEXT  an index into `words`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.model.samples import ValueKind, kind_of

NONE: Final = 0
REAL: Final = 1
INT: Final = 2
TEXT: Final = 3
BURST: Final = 4
"""No row of these has it: bursts are kept beside samples, see waveforms.py."""

FORM_OF: Final = {
    ValueKind.F64: REAL,
    ValueKind.I64: INT,
    ValueKind.BOOL: INT,
    ValueKind.STR: TEXT,
    ValueKind.WAVEFORM: BURST,
}

ANSWER: Final = pa.schema(
    [
        pa.field("tag", pa.int32(), nullable=False),
        pa.field("time_ns", pa.int64(), nullable=False),
        pa.field("status", pa.uint32(), nullable=False),
        pa.field("f64", pa.float64()),
        pa.field("i64", pa.int64()),
        pa.field("str", pa.string()),
    ]
)
"""How samples of any kind are given to a reader; truths stand in `i64` as 0 and 1."""


class Words:
    """The texts of some rows, each once. Only grows, so an index stays true for ever."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.list: list[str] = list(words)
        self._index = {word: index for index, word in enumerate(self.list)}

    def index(self, words: Sequence[str]) -> NDArray[np.int64]:
        """The index of each word; new words are added. Shape (words,)."""
        out = np.empty(len(words), np.int64)
        for at, word in enumerate(words):
            known = self._index.get(word)
            if known is None:
                known = self._index[word] = len(self.list)
                self.list.append(word)
            out[at] = known
        return out


class Rows(NamedTuple):
    """Columns of shape (rows,). `words` is shared between rows that were cut from one another."""

    tag: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    status: NDArray[np.uint32]
    form: NDArray[np.uint8]
    bits: NDArray[np.int64]
    words: Words

    @property
    def size(self) -> int:
        """How many rows there are; `len` of a tuple would be its columns."""
        return len(self.tag)

    def take(self, which: NDArray[Any] | slice) -> Rows:
        """The rows at these indices, where this mask is true, or in this slice."""
        return Rows(
            self.tag[which], self.time_ns[which], self.status[which], self.form[which], self.bits[which], self.words
        )


def arrays(rows: Rows) -> tuple[NDArray[Any], ...]:
    """The five columns without the words."""
    return rows.tag, rows.time_ns, rows.status, rows.form, rows.bits


def none() -> Rows:
    """No rows at all."""
    return Rows(
        np.empty(0, np.int32),
        np.empty(0, np.int64),
        np.empty(0, np.uint32),
        np.empty(0, np.uint8),
        np.empty(0, np.int64),
        Words(),
    )


def from_batch(batch: pa.RecordBatch, words: Words) -> Rows:
    """The rows of a batch of one value kind; its texts are added to `words`."""
    kind, value = kind_of(batch), batch.column("value")
    form = np.full(batch.num_rows, FORM_OF[kind], np.uint8)
    if value.null_count:
        form[value.is_null().to_numpy(zero_copy_only=False)] = NONE
    return Rows(
        batch.column("tag").to_numpy(),
        batch.column("time_ns").to_numpy(),
        batch.column("status").to_numpy(),
        form,
        _bits(kind, value, words),
        words,
    )


def _bits(kind: ValueKind, value: pa.Array, words: Words) -> NDArray[np.int64]:
    if kind is ValueKind.F64:
        floats = pc.fill_null(value, 0.0) if value.null_count else value
        return floats.to_numpy().view(np.int64)
    if kind is ValueKind.I64:
        return (pc.fill_null(value, 0) if value.null_count else value).to_numpy()
    if kind is ValueKind.BOOL:
        truths = pc.fill_null(value, False) if value.null_count else value  # noqa: FBT003
        return truths.to_numpy(zero_copy_only=False).astype(np.int64)
    packed = value.dictionary_encode()
    codes = words.index(packed.dictionary.to_pylist())
    return _recode(packed.indices, codes)


def _recode(indices: pa.Array, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    at = pc.fill_null(indices, 0).to_numpy() if indices.null_count else indices.to_numpy()
    return codes[at] if len(codes) else np.zeros(len(at), np.int64)


def texts(encoded: pa.DictionaryArray, words: Words) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Where an Arrow dictionary column has a text, and its index in `words`; both of shape (rows,)."""
    has = encoded.is_valid().to_numpy(zero_copy_only=False)
    return has, _recode(encoded.indices, words.index(encoded.dictionary.to_pylist()))


def concat(parts: Sequence[Rows]) -> Rows:
    """All rows, in the order of the parts."""
    parts = [part for part in parts if part.size]
    if len(parts) <= 1:
        return parts[0] if parts else none()
    shared = parts[0].words
    if any(part.words is not shared for part in parts):
        shared = Words()
        parts = [_with_words(part, shared) for part in parts]
    tag, time_ns, status, form, bits = (
        np.concatenate(columns) for columns in zip(*(arrays(part) for part in parts), strict=True)
    )
    return Rows(tag, time_ns, status, form, bits, shared)


def _with_words(part: Rows, words: Words) -> Rows:
    text = np.flatnonzero(part.form == TEXT)
    if not len(text):
        return part._replace(words=words)
    used, inverse = np.unique(part.bits[text], return_inverse=True)
    bits = part.bits.copy()
    bits[text] = words.index([part.words.list[index] for index in used])[inverse]
    return part._replace(bits=bits, words=words)


def last_arrival_wins(rows: Rows) -> Rows:
    """The rows in (tag, time) order, each (tag, time) once: the one that stands latest in `rows`."""
    if rows.size <= 1:
        return rows
    key = _key(rows)
    if key is None:
        order = np.lexsort((rows.time_ns, rows.tag))
        tag, time_ns = rows.tag[order], rows.time_ns[order]
        keep = np.append((tag[1:] != tag[:-1]) | (time_ns[1:] != time_ns[:-1]), True)
    else:
        if (key[1:] > key[:-1]).all():
            return rows
        order = np.argsort(key, kind="stable")
        key = key[order]
        keep = np.append(key[1:] != key[:-1], True)
    return rows.take(order if keep.all() else order[keep])


def _key(rows: Rows) -> NDArray[np.uint64] | None:
    """Tag and time in one number that sorts as both do, or None when they need more than 64 bits.

    One sort of plain integers is about twice as fast as a sort by two keys.
    """
    base = int(rows.time_ns.min())
    above = (rows.time_ns - base).view(np.uint64)
    if int(rows.time_ns.max()) - base >= 1 << 62:
        return None
    scale = unit_ns(rows.time_ns - base)
    if scale > 1:
        above = above // np.uint64(scale)
    bits = int(above.max()).bit_length()
    first = int(rows.tag.min())
    if bits + (int(rows.tag.max()) - first).bit_length() > 64:  # noqa: PLR2004  the bits of the key
        return None
    return ((rows.tag - first).astype(np.uint64) << np.uint64(bits)) | above


def unit_ns(time_ns: NDArray[np.int64]) -> int:
    """The coarsest of 1 ms, 1 µs and 1 ns, in ns, in which all times are whole."""
    for unit in (1_000_000, 1_000):
        # The first thousand settle most cases without a walk over all of them.
        if not (time_ns[:1000] % unit).any() and not (time_ns % unit).any():
            return unit
    return 1


def to_table(rows: Rows) -> pa.Table:
    """The rows as a reader gets them: ANSWER."""
    return pa.Table.from_arrays(
        [
            pa.array(rows.tag),
            pa.array(rows.time_ns),
            pa.array(rows.status),
            pa.array(rows.bits.view(np.float64), mask=rows.form != REAL),
            pa.array(rows.bits, mask=rows.form != INT),
            text_column(rows).dictionary_decode(),
        ],
        schema=ANSWER,
    )


def text_column(rows: Rows) -> pa.DictionaryArray:
    """The texts as an Arrow dictionary of only the words that these rows use; null elsewhere."""
    text = rows.form == TEXT
    if not text.any():
        return pa.DictionaryArray.from_arrays(pa.nulls(rows.size, pa.int32()), pa.array([], pa.string()))
    used, inverse = np.unique(rows.bits[text], return_inverse=True)
    codes = np.zeros(rows.size, np.int32)
    codes[text] = inverse
    words = pa.array([rows.words.list[index] for index in used], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=~text), words)


def within(rows: Rows, tags: NDArray[np.int32] | None, start_ns: int, end_ns: int) -> Rows:
    """The rows of these tags (None for all) within [start_ns, end_ns), in their order."""
    if tags is not None:
        # Few of many tags leave few rows to look at the times of.
        found = np.flatnonzero(one_of(rows.tag, tags))
        time_ns = rows.time_ns[found]
        inside = (time_ns >= start_ns) & (time_ns < end_ns)
        return rows.take(found if inside.all() else found[inside])
    mask = (rows.time_ns >= start_ns) & (rows.time_ns < end_ns)
    return rows if mask.all() else rows.take(np.flatnonzero(mask))


def one_of(tag: NDArray[np.int32], tags: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of `tag` are among `tags`; a table of truths is far faster here than a sort."""
    if len(tags) == 1:
        return tag == tags[0]
    if not len(tags) or not len(tag):
        return np.zeros(len(tag), bool)
    table = np.zeros(max(int(tag.max()), int(tags.max())) + 1, bool)
    table[tags] = True
    return table[tag]


def numbered(tags: Sequence[int]) -> NDArray[np.int32]:
    """These tags in order, each once, as whoever asks gave them; a range is not walked through."""
    if isinstance(tags, range) and tags.step > 0:
        return np.arange(tags.start, tags.stop, tags.step, dtype=np.int32)
    return each_once(np.asarray(tags, np.int32))


def each_once(tags: NDArray[np.int32]) -> NDArray[np.int32]:
    """These tags in order, each once; most questions bring them so, which is seen faster than done again."""
    return tags if (tags[1:] > tags[:-1]).all() else np.unique(tags)


def newest_of_each(rows: Rows) -> Rows:
    """The newest row of each tag, for rows in (tag, time) order."""
    return rows.take(np.flatnonzero(np.append(rows.tag[1:] != rows.tag[:-1], rows.size > 0)))
