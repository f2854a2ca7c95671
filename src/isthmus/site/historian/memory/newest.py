"""The newest sample of each tag: in memory for pages, in the manifest as high-water marks.

Three copies of the same thing live in a store: of everything (pages ask it), of what is sealed (its
times are the high-water marks behind which a row counts as late) and of what stood before each day.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.site.historian.memory.rows import NONE, TEXT, Rows, Words, texts

NEVER: Final = np.iinfo(np.int64).min
"""The time of a tag that has no sample yet."""
_FIRST_ROOM: Final = 1024
_REUSE: Final = 4


class Newest:
    """Arrays by tag id. Not safe for two writers."""

    def __init__(self) -> None:
        self._words = Words()
        self.time_ns: NDArray[np.int64] = np.full(_FIRST_ROOM, NEVER, np.int64)
        self._status = np.zeros(_FIRST_ROOM, np.uint32)
        self._form = np.zeros(_FIRST_ROOM, np.uint8)
        self._bits = np.zeros(_FIRST_ROOM, np.int64)

    def see(self, rows: Rows) -> None:
        """Take in rows in the order of their arrival; at equal times the later arrival stands."""
        if not rows.size:
            return
        self.room(int(rows.tag.max()))
        newer = rows.time_ns >= self.time_ns[rows.tag]
        if not newer.all():
            rows = rows.take(np.flatnonzero(newer))
        if (rows.time_ns[1:] < rows.time_ns[:-1]).any():
            rows = rows.take(np.argsort(rows.time_ns, kind="stable"))
        bits = rows.bits
        # A batch has one kind, so its highest form says whether there are texts in it at all.
        if rows.form.max(initial=NONE) == TEXT:
            text = np.flatnonzero(rows.form == TEXT)
            bits = bits.copy()
            # Of many texts in a batch only each tag's newest is kept, so only that one is looked up.
            last = len(text) - 1 - np.unique(rows.tag[text][::-1], return_index=True)[1]
            kept = text[last]
            bits[kept] = self._words.index([rows.words.list[index] for index in rows.bits[kept]])
        # Where a tag stands several times, numpy keeps what is assigned last.
        self.time_ns[rows.tag] = rows.time_ns
        self._status[rows.tag] = rows.status
        self._form[rows.tag] = rows.form
        self._bits[rows.tag] = bits
        if len(self._words.list) > _REUSE * len(self._form):
            self._tidy_words()

    def rows(self, tags: NDArray[np.int32] | None = None) -> Rows:
        """The newest sample of each of these tags (None for all) that has one, in the order asked."""
        if tags is None:
            tags = np.flatnonzero(self.time_ns != NEVER).astype(np.int32)
        else:
            tags = tags[(tags >= 0) & (tags < len(self.time_ns))]
            tags = tags[self.time_ns[tags] != NEVER]
        return Rows(tags, self.time_ns[tags], self._status[tags], self._form[tags], self._bits[tags], self._words)

    def high_water(self, tag: NDArray[np.int32]) -> NDArray[np.int64]:
        """The time of each tag's newest sample, NEVER where there is none."""
        if len(tag):
            self.room(int(tag.max()))
        return self.time_ns[tag]

    def room(self, tag: int) -> None:
        """Make room for a tag."""
        if tag < len(self.time_ns):
            return
        extra = 2 * (tag + 1) - len(self.time_ns)
        self.time_ns = np.append(self.time_ns, np.full(extra, NEVER, np.int64))
        self._status = np.append(self._status, np.zeros(extra, np.uint32))
        self._form = np.append(self._form, np.zeros(extra, np.uint8))
        self._bits = np.append(self._bits, np.zeros(extra, np.int64))

    def copy(self) -> Newest:
        """A copy that goes its own way."""
        out = Newest()
        out._words = Words(self._words.list)
        out.time_ns = self.time_ns.copy()
        out._status, out._form, out._bits = self._status.copy(), self._form.copy(), self._bits.copy()
        return out

    def pack(self) -> bytes:
        """As bytes: an Arrow stream of tag, time_ns, status, form, bits and text, packed with zstd."""
        rows = self.rows()
        text = rows.form == TEXT
        words = [rows.words.list[index] if has else None for index, has in zip(rows.bits.tolist(), text, strict=True)]
        bits = np.where(text, 0, rows.bits)
        table = pa.table(
            [
                *(pa.array(column) for column in (rows.tag, rows.time_ns, rows.status, rows.form, bits)),
                pa.array(words, pa.string()),
            ],
            names=["tag", "time_ns", "status", "form", "bits", "text"],
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)
        return sink.getvalue().to_pybytes()

    @classmethod
    def unpack(cls, data: bytes | None) -> Self:
        """What `pack` made; empty for None."""
        out = cls()
        if data is not None:
            out.see(unpack(data))
        return out

    def _tidy_words(self) -> None:
        """Keep only the words that are still some tag's newest; texts like batch numbers never come again."""
        text = np.flatnonzero(self._form == TEXT)
        fresh = Words()
        bits = self._bits.copy()
        bits[text] = fresh.index([self._words.list[index] for index in self._bits[text]])
        self._words, self._bits = fresh, bits


def unpack(data: bytes) -> Rows:
    """The rows of a packed `Newest`, in tag order."""
    table = pa.ipc.open_stream(data).read_all().combine_chunks()
    words = Words()
    columns = [table.column(name).to_numpy() for name in ("tag", "time_ns", "status", "form", "bits")]
    text = table.column("text").combine_chunks()
    text = text.chunk(0) if isinstance(text, pa.ChunkedArray) else text
    bits = columns[4]
    if text.null_count < len(text):
        has, codes = texts(text.dictionary_encode(), words)
        bits = np.where(has, codes, bits)
    form = columns[3]
    return Rows(columns[0], columns[1], columns[2], np.where(form > TEXT, NONE, form).astype(np.uint8), bits, words)
