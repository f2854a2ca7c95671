"""The ISO 22400 indicators of every shift and run, under the policy that was in force."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

import msgspec

from isthmus.model.records import Record
from isthmus.model.records.production import Indicator
from isthmus.site.records import tables

_ELEMENTS = ("apt_ns", "aust_ns", "adet_ns", "adot_ns", "outside_ns", "unobserved_ns", "micro_ns")


class Indicators:
    """Table `indicators`: `time_ns` is the window's end; ratios are null where their denominator is zero."""

    name: ClassVar[str] = "indicators"
    reads: ClassVar[tuple[type[Record], ...]] = (Indicator,)
    schema: ClassVar[str] = (
        tables.facts(
            "indicators",
            "start_ns INTEGER NOT NULL, window TEXT NOT NULL, name TEXT NOT NULL, policy TEXT NOT NULL, "
            + ", ".join(f"{element} INTEGER NOT NULL" for element in _ELEMENTS)
            + ", pbt_ns INTEGER NOT NULL, good REAL NOT NULL, scrap REAL NOT NULL, rework REAL NOT NULL, "
            "ideal_ns INTEGER NOT NULL, good_ideal_ns INTEGER NOT NULL, availability REAL, effectiveness REAL, "
            "quality REAL, oee REAL, coverage REAL, warning TEXT NOT NULL",
        )
        + "CREATE INDEX indicators_window ON indicators (window, path, time_ns);\n"
    )

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Put the window's figures in their place."""
        del position
        assert isinstance(record, Indicator)  # noqa: S101  `reads` says so
        values = msgspec.structs.asdict(record)
        for name in ("path", "time_ns", "ordinal", "revision", "gone"):
            del values[name]
        values.update(msgspec.structs.asdict(values.pop("elements")))
        tables.put(db, "indicators", record, values)
