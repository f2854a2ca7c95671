"""What a person put right: a new version of a sample with who and why; the old one stays where it is.

    correction   tag, time, said (ns), form, bits, word, status, by, why

Corrections stand above every arrival, also above the same sample sent again later. They live in the
manifest, few as they are, and are laid over what segments and head hold. To ask what was known at a
moment, leave out those that were said after it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import msgspec
import numpy as np

from isthmus.model.errors import UsageError
from isthmus.model.samples import TagInfo, ValueKind
from isthmus.model.time import iso
from isthmus.site.historian.memory.rows import FORM_OF, INT, NONE, REAL, TEXT, Rows, Words
from isthmus.site.historian.sealed.journal import Journal, Right
from isthmus.site.historian.sealed.manifest import Manifest

Value = float | int | bool | str | None
_MOST_NS = 1 << 62
_WANTED = {ValueKind.F64: float, ValueKind.I64: int, ValueKind.BOOL: bool, ValueKind.STR: str}


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One sample as a person says it was. Value None says that there was none to believe."""

    tag: int
    time_ns: int
    value: Value
    status: int = 0
    said_ns: int
    by: str
    why: str


def value_of(kind: ValueKind, word: str) -> Value:
    """A value as a person typed it; `-` says that there was none to believe. Raises ValueError in words."""
    word = word.strip()
    if word == "-":
        return None
    if kind is ValueKind.STR:
        return word
    try:
        if kind is ValueKind.F64:
            number = float(word)
            if not (math.isinf(number) and any(sign.isdigit() for sign in word)):
                return number
        if kind is ValueKind.I64:
            whole = int(word)
            if -(1 << 63) <= whole < 1 << 63:
                return whole
        elif kind is ValueKind.BOOL:
            return {"true": True, "1": True, "false": False, "0": False}[word.lower()]
    except (ValueError, KeyError):
        pass
    mend = "bursts cannot be put right, only sent again" if kind is ValueKind.WAVEFORM else "or - for none"
    msg = f"{word!r} is no value of kind {kind}; {mend}"
    raise ValueError(msg)


def put(manifest: Manifest, journal: Journal, said: Sequence[Correction], infos: Sequence[TagInfo]) -> None:
    """Store corrections, on disk when this returns; `infos` are their tags'. Raises UsageError, OSError."""
    rows = [_row(each, info) for each, info in zip(said, infos, strict=True)]
    with journal.before([Right(*row) for row in rows]), manifest.transaction() as db:
        db.executemany("INSERT OR REPLACE INTO correction VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def read(manifest: Manifest, known_ns: int | None = None) -> tuple[list[Correction], Rows]:
    """Corrections in the order in which they were said, up to `known_ns`, and as rows in that order."""
    with manifest.reading() as db:
        found = db.execute(
            "SELECT tag, time, said, form, bits, word, status, by, why FROM correction"
            " WHERE said <= coalesce(?, said) ORDER BY said, rowid",
            (known_ns,),
        ).fetchall()
    words = Words()
    codes = words.index([row[5] for row in found]) if found else np.empty(0, np.int64)
    form = np.array([row[3] for row in found], np.uint8)
    bits = np.where(form == TEXT, codes, np.array([row[4] for row in found], np.int64))
    rows = Rows(
        np.array([row[0] for row in found], np.int32),
        np.array([row[1] for row in found], np.int64),
        np.array([row[6] for row in found], np.uint32),
        form,
        bits,
        words,
    )
    return [_correction(*row) for row in found], rows


def to_rows(said: Sequence[Correction]) -> Rows:
    """Corrections as rows, in their order."""
    words = Words()
    kinds = [_form_and_bits(each.value, words) for each in said]
    return Rows(
        np.array([each.tag for each in said], np.int32),
        np.array([each.time_ns for each in said], np.int64),
        np.array([each.status for each in said], np.uint32),
        np.array([form for form, _ in kinds], np.uint8),
        np.array([bits for _, bits in kinds], np.int64),
        words,
    )


def _form_and_bits(value: Value, words: Words) -> tuple[int, int]:
    if value is None:
        return NONE, 0
    if isinstance(value, str):
        return TEXT, int(words.index([value])[0])
    if isinstance(value, float):
        return REAL, struct.unpack("<q", struct.pack("<d", value))[0]
    return INT, int(value)


def _row(said: Correction, info: TagInfo) -> tuple[int, int, int, int, int, str, int, str, str]:
    value = float(said.value) if info.kind is ValueKind.F64 and type(said.value) is int else said.value
    if value is not None and type(value) is not _WANTED[info.kind]:
        msg = f"{info.name} at {iso(said.time_ns)}: {said.value!r} is no value of kind {info.kind}"
        raise UsageError(msg)
    if abs(said.time_ns) > _MOST_NS:
        msg = f"{info.name}: no sample stands at that moment; history counts ns from 1970 in 64 bits"
        raise UsageError(msg)
    if not said.by.strip() or not said.why.strip():
        msg = f"{info.name} at {iso(said.time_ns)}: a correction needs who says it and why"
        raise UsageError(msg)
    form = NONE if value is None else FORM_OF[info.kind]
    bits, word = 0, ""
    if isinstance(value, str):
        word = value
    elif isinstance(value, float):
        bits = struct.unpack("<q", struct.pack("<d", value))[0]
    elif value is not None:
        bits = int(value)
    return said.tag, said.time_ns, said.said_ns, form, bits, word, said.status, said.by, said.why


def _correction(  # noqa: PLR0913, PLR0917  the columns of the table
    tag: int, time_ns: int, said_ns: int, form: int, bits: int, word: str, status: int, by: str, why: str
) -> Correction:
    value: Value = {NONE: None, TEXT: word, REAL: struct.unpack("<d", struct.pack("<q", bits))[0]}.get(form, bits)
    return Correction(tag=tag, time_ns=time_ns, value=value, status=status, said_ns=said_ns, by=by, why=why)
