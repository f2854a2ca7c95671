"""What is handed to a running site for its history: a past that is brought along, and samples put right.

It lies in the folder of `handed.py` and is taken in the order of its names, one file at a time:

    <time>-<number>.corrections    JSON: which sample of which tag was what, who says so and why
    <time>-<number>.samples        a dictionary frame, then frames of samples, docs/formats/frame.md
    <time>-<number>.taking         such a file while it is taken in
    <time>-<number>.late           JSON: what an import brought while the site stood still, by tag

Exactly once: samples go in under the names of their frames, so a repeat is passed over. A file is
renamed before it goes in and deleted after the folds were told, so whatever stops the site between the
two leaves a file that says that they have still to be told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.model.samples import Batch, TagInfo
from isthmus.model.status import BAD, GOOD
from isthmus.site.historian.corrections import Correction, value_of
from isthmus.site.historian.sealed.parquet import sync_folder, write_whole
from isthmus.site.intake.corrections import correct
from isthmus.site.site import Site
from isthmus.wire import frame as frames
from isthmus.wire.frame import Dictionary, Frame, FrameKind

_CORRECTIONS, _SAMPLES, _TAKING, _LATE = ".corrections", ".samples", ".taking", ".late"


class SaidRight(msgspec.Struct, frozen=True, kw_only=True):
    """One sample as a person says it was; the value as they typed it, `-` for none to believe."""

    tag: str
    time_ns: int
    value: str
    by: str
    why: str
    said_ns: int


class Brought(NamedTuple):
    """Samples of the past that are in history now; arrays have shape (samples,)."""

    tag: NDArray[np.int32]
    """The site's tag ids."""
    time_ns: NDArray[np.int64]


Told = Callable[[Brought], None]


def hand_corrections(folder: Path, said: Sequence[SaidRight]) -> Path:
    """Leave corrections for the site at work; the file goes when they are in history and in the log."""
    return _hand(folder, 0, _CORRECTIONS, msgspec.json.encode(said))


def hand_samples(folder: Path, number: int, infos: Mapping[int, TagInfo], batches: Sequence[Batch]) -> Path:
    """Leave samples for the site at work; `infos` says what the batches' tag numbers stand for."""
    first = batches[0]
    named = Dictionary(source="", plant="", tags=tuple(infos.items()))
    run = [frames.of_dictionary(first.source, first.epoch, first.seq, named)]
    run += [frames.of_samples(*batch[:3], batch.columns) for batch in batches]
    return _hand(folder, number, _SAMPLES, b"".join(map(frames.pack, run)))


def hand_late(folder: Path, spans: Mapping[str, tuple[int, int]], instead: Path | None = None) -> Path:
    """Leave word, for the site that starts next, of what comes into history now: by tag its first and last moment.

    `instead` is the word that was left before and holds no more; only while no site runs.
    """
    data = msgspec.json.encode(spans)
    if instead is None:
        return _hand(folder, 0, _LATE, data)
    write_whole(instead, data)
    return instead


def whole(path: Path) -> list[Frame]:
    """All frames of a file. Raises StoreDamaged, also for an empty one: its writer was stopped before it said anything."""
    data = path.read_bytes()
    if not data:
        msg = "it is empty: whatever wrote it was stopped"
        raise StoreDamaged(msg)
    return list(frames.unpack_all(data))


def waits(path: Path) -> bool:
    """Whether what was handed is not taken yet."""
    return path.exists() or path.with_suffix(_TAKING).exists()


def take_one(site: Site, folder: Path, told: Told) -> bool:
    """Take in the file whose turn it is; False when there is none. Raises OSError, DatabaseAway with it still there.

    Raises NotTaken for a file that can never be taken.
    """
    found = [path for suffix, _ in _TAKERS for path in sorted(folder.glob(f"*{suffix}"))[:1]]
    if not found:
        return False
    path = found[0]
    try:
        dict(_TAKERS)[path.suffix](site, path, told)
    except (StoreDamaged, UsageError, ValueError, EOFError, KeyError) as error:
        raise NotTaken(path, str(error)) from error
    return True


class NotTaken(ValueError):
    """A file that can never be taken, and why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is set aside: {why}")
        self.path, self.why = path, why


def _hand(folder: Path, number: int, suffix: str, data: bytes) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{time.time_ns():020}-{number:08}{suffix}"
    write_whole(path, data)
    return path


def _take_corrections(site: Site, path: Path, told: Told) -> None:
    """Under the moment at which they were said, so that taking them twice says nothing twice."""
    del told  # the folds read of them in the log
    said = []
    for each in msgspec.json.decode(path.read_bytes(), type=list[SaidRight]):
        tag = site.tags.find(each.tag)
        if tag is None:
            msg = f"no tag is called {each.tag}"
            raise UsageError(msg)
        value = value_of(site.tags.info(tag).kind, each.value)
        said.append(
            Correction(
                tag=tag,
                time_ns=each.time_ns,
                value=value,
                status=BAD if value is None else GOOD,
                said_ns=each.said_ns,
                by=each.by,
                why=each.why,
            )
        )
    correct(site, said)
    path.unlink()


def _take_samples(site: Site, path: Path, told: Told) -> None:
    names = [frame[:3] for frame in whole(path) if frame.kind is FrameKind.SAMPLES]
    if all(site.historian.taken(*name) for name in names):
        path.unlink()
        return
    taking = path.with_suffix(_TAKING)
    path.rename(taking)
    sync_folder(path.parent)
    _take_renamed(site, taking, told)


def _take_renamed(site: Site, path: Path, told: Told) -> None:
    run = whole(path)
    infos = {
        number: info
        for frame in run
        if frame.kind is FrameKind.DICTIONARY
        for number, info in frames.dictionary(frame).tags
    }
    ids = np.zeros(max(infos, default=0) + 1, np.int32)
    ids[list(infos)] = _intern(site, list(infos.values()))
    now, batches = time.time_ns(), []
    for frame in run:
        if frame.kind is FrameKind.SAMPLES:
            columns = frames.samples(frame)
            tag = ids[columns["tag"].to_numpy()]
            batches.append(Batch(*frame[:3], now, columns.set_column(0, columns.schema.field(0), pa.array(tag))))
    site.historian.append(batches)
    tag = np.concatenate([batch.columns["tag"].to_numpy() for batch in batches])
    told(Brought(tag, np.concatenate([batch.columns["time_ns"].to_numpy() for batch in batches])))
    site.show_newest(np.unique(tag).tolist())
    path.unlink()


def _intern(site: Site, infos: Sequence[TagInfo]) -> list[int]:
    """The site's ids; a tag of that name and kind is that tag, whatever its unit."""
    known = [site.tags.find(info.name) for info in infos]
    wanted = [
        site.tags.info(tag) if tag is not None and site.tags.info(tag).kind is info.kind else info
        for tag, info in zip(known, infos, strict=True)
    ]
    return site.tags.intern_all(wanted)


def _take_late(site: Site, path: Path, told: Told) -> None:
    spans = msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[int, int]])
    known = [(tag, span) for name, span in spans.items() if (tag := site.tags.find(name)) is not None]
    numbers = np.array([number for number, _ in known for _ in range(2)], np.int32)
    told(Brought(numbers, np.array([moment for _, span in known for moment in span], np.int64)))
    path.unlink()


_TAKERS: Final[Sequence[tuple[str, Callable[[Site, Path, Told], None]]]] = (
    (_CORRECTIONS, _take_corrections),
    (_LATE, _take_late),
    (_TAKING, _take_renamed),
    (_SAMPLES, _take_samples),
)
"""What waits, in the order of what is taken first: what a person said never waits behind a long import."""


def firsts_of(batches: Iterable[Batch]) -> dict[int, int]:
    """The first moment of each tag of these batches."""
    out: dict[int, int] = {}
    for batch in batches:
        numbers, place = np.unique(batch.columns["tag"].to_numpy(), return_inverse=True)
        first = np.full(len(numbers), np.iinfo(np.int64).max)
        np.minimum.at(first, place, batch.columns["time_ns"].to_numpy())
        for number, moment in zip(numbers.tolist(), first.tolist(), strict=True):
            out[number] = min(moment, out.get(number, moment))
    return out
