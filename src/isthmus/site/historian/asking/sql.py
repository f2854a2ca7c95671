"""The operators as SQL macros, for people who open sealed history with DuckDB themselves.

`script` writes one text: a table of tags, a view of samples in which late data and corrections stand
where they belong, and a macro for each operator, made of the very texts that answer them here. Nothing
of Isthmus is needed to run it, only DuckDB and the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from isthmus.model import query as q
from isthmus.model.time import iso
from isthmus.site.historian import corrections
from isthmus.site.historian.asking.operators import RELATIONS, needed, texts
from isthmus.site.historian.asking.operators.decimate import FEWEST
from isthmus.site.historian.corrections import Correction
from isthmus.site.historian.sealed import waveforms
from isthmus.site.historian.sealed.manifest import NAME, Manifest, Segment
from isthmus.site.historian.tags import TagBook, TagVersion

_HEAD: Final = """\
-- History of {folder}, for DuckDB; made by `isthmus history sql` at {now}.
--
--     duckdb -init history.sql          or, in Python: duckdb.connect().execute(open("history.sql").read())
--
--     FROM history_tags;
--     FROM history_last(['press/speed'], now());
--     FROM history_last(['press/force#17'], now());          what a name stood for before its kind or unit changed
--     FROM history_aggregate(['press/speed'], '2026-11-22 06:00+00', '2026-11-22 14:00+00', INTERVAL 1 MINUTE);
--     FROM history_bursts WHERE name = 'press/vibration';
--     SELECT name, time, value FROM history_samples WHERE name = 'press/speed' AND day = '2026-11-22';
--
-- It names the files that counted at that moment: what was sealed since is not in it, and files that were
-- merged since are gone. Make it anew, or make it of a backup, which stays as it is. What still waits in the
-- log is not in it. Times are UTC; a column that ends in _ns counts from 1970. A value is carried on to the end of
-- what is asked, so ask for nothing that is still to come.

SET asof_loop_join_threshold = 0;
SET TimeZone = 'UTC';
"""
_VALUES: Final = """tag, epoch_ns(time) AS time_ns, (q::BIGINT & 4294967295)::UINTEGER AS status,
       CASE WHEN e IS NULL THEN f ELSE i / [1.0::DOUBLE, 10.0, 100.0, 1000.0, 10000.0][e + 1] END AS f64,
       CASE WHEN e IS NULL THEN i END AS i64, s AS str, day::DATE AS day"""
_NOTHING: Final = (
    "SELECT NULL::INTEGER AS tag, NULL::BIGINT AS time_ns, NULL::UINTEGER AS status, NULL::DOUBLE AS f64, "
    "NULL::BIGINT AS i64, NULL::VARCHAR AS str, NULL::DATE AS day"
)
_TAGS: Final = """\
-- A name whose kind or unit changed has a number more for each time: the former ones are called press/force#17 here.
CREATE OR REPLACE TABLE history_tags AS
SELECT tag::INTEGER AS tag, CASE WHEN until IS NULL THEN name ELSE name || '#' || tag END AS name, kind, unit,
       name || '#' || tag AS numbered, make_timestamp_ns(since) AS since, make_timestamp_ns(until) AS until
FROM {values};

-- The numbers of some names; a name that nobody knows is an error, and says which.
CREATE OR REPLACE MACRO history_asked(names) AS TABLE
SELECT coalesce(plain.tag, numbers.tag, error(
           'no tag is called ' || coalesce(asked.name, 'NULL') || '; FROM history_tags lists them all')) AS tag
FROM (SELECT unnest(names) AS name) AS asked
LEFT JOIN history_tags AS plain ON plain.name = asked.name
LEFT JOIN history_tags AS numbers ON numbers.numbered = asked.name;
"""
_SAMPLES: Final = """
CREATE OR REPLACE VIEW history_samples AS
SELECT each.tag, name, make_timestamp_ns(time_ns) AS time, time_ns, status, f64, i64, str,
       coalesce(str, i64::VARCHAR, f64::VARCHAR) AS value, unit, day
FROM (SELECT * FROM history_plain{without} UNION ALL SELECT * FROM history_late) AS each
JOIN history_tags AS known ON known.tag = each.tag;
"""
_BURSTS: Final = """
-- Bursts of fast signals, a row each: the time of the first reading, the interval between two, the readings.
CREATE OR REPLACE VIEW history_bursts AS
SELECT each.tag, name, time, time_ns, status, interval_ns, readings, unit, day
FROM ({bursts}
      QUALIFY row_number() OVER (PARTITION BY tag, time_ns ORDER BY place DESC) = 1) AS each
JOIN history_tags AS known ON known.tag = each.tag;
"""
_BURST_COLUMNS: Final = (
    "tag, time, epoch_ns(time) AS time_ns, (q::BIGINT & 4294967295)::UINTEGER AS status, interval_ns, "
    "coalesce(f, i::FLOAT[]) AS readings, day::DATE AS day, parse_filename(filename) AS place"
)
_NO_BURSTS: Final = (
    "SELECT NULL::INTEGER AS tag, NULL::TIMESTAMPTZ AS time, NULL::BIGINT AS time_ns, NULL::UINTEGER AS status, "
    "NULL::DOUBLE AS interval_ns, NULL::FLOAT[] AS readings, NULL::DATE AS day, NULL::VARCHAR AS place WHERE false"
)
_ASKED: Final = "SELECT DISTINCT tag FROM history_asked(names)"
_WORTH: Final = """
    SELECT tag, time_ns, status, f64, i64, str, coalesce(f64, i64::DOUBLE) AS num,
           coalesce(f64 IS NOT NULL AND NOT isnan(f64) OR i64 IS NOT NULL OR str IS NOT NULL, false)
           AND status < 2147483648 AS usable,
           CASE WHEN usable THEN coalesce(str, i64::VARCHAR,
                CASE WHEN abs(f64) < 9007199254740992 AND f64 = trunc(f64) THEN f64::BIGINT::VARCHAR
                     ELSE f64::VARCHAR END) END AS word,
           1 AS n, usable::INTEGER AS good, CASE WHEN usable THEN num END AS total
    FROM history_samples
    WHERE tag IN (SELECT tag FROM asked) AND {when}"""
_WITHIN: Final = (
    "time_ns >= $start AND time_ns < $end "
    "AND day BETWEEN make_timestamp_ns($start)::DATE AND make_timestamp_ns($end)::DATE"
)
_BEFORE: Final = (
    "time_ns < $start AND day <= make_timestamp_ns($start)::DATE "
    "QUALIFY row_number() OVER (PARTITION BY tag ORDER BY time_ns DESC) = 1"
)
_COUNTED: Final = f"""time_ns < $start AND day <= make_timestamp_ns($start)::DATE
    QUALIFY row_number() OVER (PARTITION BY tag ORDER BY (usable AND num IS NOT NULL) DESC, time_ns DESC) = 1
            AND (time_ns >= $start - {q.COUNTED_BACK_NS} OR time_ns = max(time_ns) OVER (PARTITION BY tag))"""
_START, _END = "(epoch_us(from_time::TIMESTAMPTZ) * 1000)", "(epoch_us(to_time::TIMESTAMPTZ) * 1000)"
_EVERY: Final = (
    "(CASE WHEN extract(year FROM every) = 0 AND extract(month FROM every) = 0 AND epoch_us(every) > 0"
    " THEN epoch_us(every) * 1000"
    " ELSE error('every must be a length in seconds to days: months are not equally long, and days may have 23 hours;"
    " for those ask each stretch by itself') END)"
)
_STRETCH: Final = {"start": _START, "end": _END}
_BUCKETS: Final = {**_STRETCH, "bucket": _EVERY, "shift": "0"}
_MOMENTS: Final = "list_transform({0}, lambda each: epoch_us(each::TIMESTAMPTZ) * 1000)"
_WIDTH: Final = f"""(SELECT CASE WHEN w >= 14400000000000 THEN (w + 3599999999999) // 3600000000000 * 3600000000000
             WHEN w >= 240000000000 THEN (w + 59999999999) // 60000000000 * 60000000000 ELSE w END
        FROM (SELECT greatest(({_END} - {_START} + s - 1) // s, 1) AS w
              FROM (SELECT greatest(greatest(points, {FEWEST}) // 2 - 1, 1) AS s)))"""  # noqa: S608  our own text


class _Macro(NamedTuple):
    """How people call an operator: its arguments, and what stands for the parameters of its text."""

    arguments: str
    parameters: Mapping[str, str]
    comment: str


_MACROS: Final[Mapping[type, _Macro]] = {
    q.Last: _Macro("names, to_time", {"start": "0", "end": _END}, "The newest sample of each tag before a moment."),
    q.Raw: _Macro(
        "names, from_time, to_time, before := false",
        {**_STRETCH, "before": "before"},
        "Every sample; with before := true also the one that was in force at the start.",
    ),
    q.Aggregate: _Macro("names, from_time, to_time, every", _BUCKETS, "Minimum, maximum, mean and count by bucket."),
    q.TimeWeightedMean: _Macro(
        "names, from_time, to_time, every", _BUCKETS, "Mean by bucket, weighted by how long each value held."
    ),
    q.StateDurations: _Macro(
        "names, from_time, to_time, starts, ends",
        {**_STRETCH, "starts": _MOMENTS.format("starts"), "ends": _MOMENTS.format("ends")},
        "How long each value held in each window, the last value carried over the edge; the windows are two lists.",
    ),
    q.AsOf: _Macro(
        "names, moments",
        {
            "start": f"list_min({_MOMENTS.format('moments')})",
            "end": f"(list_max({_MOMENTS.format('moments')}) + 1)",
            "at": _MOMENTS.format("moments"),
        },
        "For each moment of a list the sample then in force.",
    ),
    q.Decimate: _Macro(
        "names, from_time, to_time, points := 600",
        {**_STRETCH, "points": f"(SELECT greatest(points, {FEWEST}))", "width": _WIDTH},
        "At most `points` points a tag that look like all of them: the extremes of each stretch.",
    ),
    q.CounterDelta: _Macro(
        "names, from_time, to_time, every, bits := 0",
        {**_BUCKETS, "range": "(CASE WHEN bits > 0 THEN pow(2::DOUBLE, bits) ELSE 0.0 END)"},
        "How far a running counter moved by bucket; `bits` of the counter, 0 when it never wraps.",
    ),
    q.Integral: _Macro("names, from_time, to_time, every", _BUCKETS, "Value times seconds by bucket."),
    q.Coverage: _Macro("names, from_time, to_time, every", _BUCKETS, "How much of each bucket was observed."),
    q.Gaps: _Macro(
        "names, from_time, to_time, longer",
        {**_STRETCH, "longer": "(epoch_us(longer) * 1000)"},
        "Stretches longer than an interval without a usable value.",
    ),
    q.TopReasons: _Macro(
        "names, from_time, to_time, most := 10",
        {**_STRETCH, "limit": "most"},
        "The values of text tags by the time they held, longest first.",
    ),
}
_MOMENT_COLUMNS: Final[Mapping[type, tuple[str, ...]]] = {
    q.Last: ("time",),
    q.Raw: ("time",),
    q.Aggregate: ("bucket",),
    q.TimeWeightedMean: ("bucket",),
    q.AsOf: ("at", "time"),
    q.Decimate: ("time",),
    q.CounterDelta: ("bucket",),
    q.Integral: ("bucket",),
    q.Coverage: ("bucket",),
    q.Gaps: ("start", "end"),
}
"""Beside which `..._ns` columns of an answer the moment stands as a timestamp too."""


def script(folder: Path, now_ns: int) -> str:
    """The whole text for the history, or the backup of one, in `folder`. Raises StoreDamaged."""
    manifest = Manifest(folder, writing=False)
    try:
        with manifest.reading():
            segments, book = manifest.segments(), TagBook(manifest)
            said = corrections.read(manifest)[0]
    finally:
        manifest.close()
    where = folder.absolute()
    found = _bursts_of(where / waveforms.FOLDER)
    parts = [
        _HEAD.format(folder=where, now=iso(now_ns)),
        _tags(version for name in {each.name for each in book.all().values()} for version in book.versions(name)),
        *_views(where, segments, said),
        _BURSTS.format(bursts=_read_bursts(where / waveforms.FOLDER, found)),
        *(_macro(kind) for kind in _MACROS),
    ]
    return "\n".join(parts)


def macro_name(operator: type) -> str:
    """What an operator's macro is called."""
    return "history_" + re.sub(r"(?<!^)(?=[A-Z])", "_", operator.__name__).lower()


def signature(operator: type) -> str:
    """How an operator's macro is called."""
    return f"{macro_name(operator)}({_MACROS[operator].arguments})"


def _tags(versions: Iterable[TagVersion]) -> str:
    rows = ",\n".join(
        f"  ({each.id}, {_text(each.info.name)}, {_text(each.info.kind)}, {_text(each.info.unit)}, "
        f"{each.valid_from_ns}, {'NULL' if each.valid_to_ns is None else each.valid_to_ns})"
        for each in sorted(versions, key=lambda one: one.id)
    )
    values = f"(VALUES\n{rows}\n) AS known(tag, name, kind, unit, since, until)" if rows else f"({_no_tags()})"
    return _TAGS.format(values=values)


def _no_tags() -> str:
    return "SELECT 0 AS tag, '' AS name, '' AS kind, '' AS unit, 0::BIGINT AS since, 0::BIGINT AS until WHERE false"


def _views(folder: Path, segments: Sequence[Segment], said: Sequence[Correction]) -> Iterator[str]:
    plain = [each for each in segments if not each.overlap]
    late = [each for each in segments if each.overlap]
    yield f"CREATE OR REPLACE VIEW history_plain AS\n{_read(folder, plain, _VALUES)};\n"
    arrivals = _read(folder, late, f"{_VALUES}, parse_filename(filename) AS place")
    yield (
        "-- What came late or was put right: of one moment the last that was said stands.\n"
        "CREATE OR REPLACE VIEW history_late AS\n"
        f"SELECT * EXCLUDE (place) FROM (\n{arrivals if late else _NOTHING + ', NULL::VARCHAR AS place'}"
        f"{''.join(f' UNION ALL{chr(10)}{_corrected(each, at)}' for at, each in enumerate(said))})\n"
        "WHERE tag IS NOT NULL\n"
        "QUALIFY row_number() OVER (PARTITION BY tag, time_ns ORDER BY place DESC) = 1;\n"
    )
    yield _SAMPLES.format(without=" AS plain ANTI JOIN history_late USING (tag, time_ns)" if late or said else "")


def _read(folder: Path, segments: Sequence[Segment], columns: str) -> str:
    """All rows of these segments, those of one unit together."""
    parts = []
    for unit in ("ms", "us", "ns"):
        files = [_text(str(folder / each.path)) for each in segments if each.unit == unit]
        if files:
            names = ",\n    ".join(files)
            parts.append(
                f"SELECT {columns}\nFROM read_parquet([\n    {names}], filename = true, hive_partitioning = true)"
            )
    return "\nUNION ALL\n".join(parts) or _NOTHING + " WHERE false"


def _bursts_of(folder: Path) -> list[Segment]:
    if not (folder / NAME).exists():
        return []
    manifest = Manifest(folder, writing=False)
    try:
        return manifest.segments()
    finally:
        manifest.close()


def _read_bursts(folder: Path, segments: Sequence[Segment]) -> str:
    if not segments:
        return _NO_BURSTS
    names = ",\n    ".join(_text(str(folder / each.path)) for each in segments)
    return f"SELECT {_BURST_COLUMNS}\nFROM read_parquet([\n    {names}], filename = true, hive_partitioning = true)"


def _corrected(said: Correction, place: int) -> str:
    """One correction as a row; `~` sorts behind every file's name."""
    value, f64, i64, text = said.value, "NULL", "NULL", "NULL"
    if isinstance(value, str):
        text = _text(value)
    elif isinstance(value, float):
        f64 = f"'{value!r}'::DOUBLE"
    elif value is not None:
        i64 = str(int(value))
    return (
        f"SELECT {said.tag}::INTEGER, {said.time_ns}::BIGINT, {said.status}::UINTEGER, {f64}, {i64}, {text}, "
        f"make_timestamp_ns({said.time_ns})::DATE, '~{place:012d}'"
    )


def _macro(operator: type) -> str:
    text, made = texts()[operator], _MACROS[operator]
    relations: list[str] = []
    for name in needed(("samples", *text.ASKS)):
        if name in {"samples", "opening"}:
            before = _COUNTED if operator is q.CounterDelta else _BEFORE
            body = _WORTH.format(when=_WITHIN if name == "samples" else before)
        else:
            body = RELATIONS[name][1]
        relations.append(f"{name} AS ({body})")
    body = text.DUCKDB.strip()
    whole = f"WITH asked AS ({_ASKED}),\n" + ",\n".join(relations) + f",\nanswer AS (\n{body})\n"
    moments = "".join(f', make_timestamp_ns({each}_ns) AS "{each}"' for each in _MOMENT_COLUMNS.get(operator, ()))
    if operator is q.TopReasons:
        whole += "SELECT * FROM answer ORDER BY duration_ns DESC, value"
    else:
        whole += f"SELECT name, answer.*{moments}\nFROM answer JOIN history_tags USING (tag) ORDER BY ALL"
    whole = re.sub(r"\$(\w+)", lambda found: made.parameters[found[1]], whole)
    return f"-- {made.comment}\nCREATE OR REPLACE MACRO {macro_name(operator)}({made.arguments}) AS TABLE\n{whole};\n"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
