"""Says SQLite's SQL in PostgreSQL's words: marks, a few keywords, and what REPLACE means.

Common SQL needs nothing of this. What differs by name alone is made a function of the same name in
`WORDS`, so that a view may be written without thinking of either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

WORDS: Final = """
CREATE COLLATION IF NOT EXISTS nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE OR REPLACE FUNCTION ifnull(anycompatible, anycompatible) RETURNS anycompatible
    LANGUAGE sql IMMUTABLE AS 'SELECT coalesce($1, $2)';
CREATE OR REPLACE FUNCTION instr(text, text) RETURNS bigint
    LANGUAGE sql IMMUTABLE AS 'SELECT CAST(strpos($1, $2) AS bigint)';
CREATE OR REPLACE FUNCTION json_each(text) RETURNS TABLE (value text)
    LANGUAGE sql IMMUTABLE ROWS 10 AS 'SELECT jsonb_array_elements_text(CAST($1 AS jsonb))';
CREATE OR REPLACE FUNCTION json_extract(body text, path text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CAST(body AS jsonb) ->> substr(path, 3);
EXCEPTION WHEN invalid_text_representation THEN
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION added_up(bigint, boolean) RETURNS bigint
    LANGUAGE sql IMMUTABLE AS 'SELECT coalesce($1, 0) + coalesce(CAST($2 AS integer), 0)';
CREATE OR REPLACE FUNCTION larger_of(bigint, boolean) RETURNS bigint
    LANGUAGE sql IMMUTABLE AS 'SELECT greatest($1, CAST($2 AS integer))';
CREATE OR REPLACE FUNCTION joined(text, text) RETURNS text
    LANGUAGE sql IMMUTABLE AS $$SELECT CASE WHEN $1 IS NULL THEN $2 ELSE coalesce($1 || ',' || $2, $1) END$$;
CREATE OR REPLACE AGGREGATE sum(boolean) (sfunc = added_up, stype = bigint);
CREATE OR REPLACE AGGREGATE max(boolean) (sfunc = larger_of, stype = bigint);
CREATE OR REPLACE AGGREGATE group_concat(text) (sfunc = joined, stype = text);
"""

_TOKEN: Final = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|\?\d*|(?<![:\w]):[A-Za-z_]\w*|%|\w+|\s+|.", re.DOTALL)
_REPLACE: Final = re.compile(r"\s*INSERT\s+OR\s+(REPLACE|IGNORE)\s+INTO\s+\"?(\w+)\"?", re.IGNORECASE)
_CREATE: Final = re.compile(r"\s*CREATE\s+(TABLE|INDEX)", re.IGNORECASE)
_ROWID: Final = re.compile(r"\bWITHOUT\s+ROWID\b", re.IGNORECASE)
_TEXT: Final = re.compile(r"\bTEXT\b(?![^,()]*\bCOLLATE\b)", re.IGNORECASE)
_TYPES: Final = {"INTEGER": "BIGINT", "REAL": "DOUBLE PRECISION"}
_RESERVED: Final = frozenset({"window"})
"""Names of our columns that PostgreSQL keeps for itself."""


class Shape(NamedTuple):
    """A table's columns, and those of its primary key."""

    columns: tuple[str, ...]
    key: tuple[str, ...]


class Said(NamedTuple):
    """A statement in the other words; `order` names its marks: positions from 0, or names."""

    sql: str
    order: tuple[int | str, ...]


def said(sql: str, shape: Callable[[str], Shape]) -> Said:
    """A statement as PostgreSQL reads it; `shape` is asked for a table that REPLACE names."""
    out = _marked(sql)
    found = _REPLACE.match(sql)
    return out if found is None else out._replace(sql=out.sql + _on_conflict(found[1].upper(), shape(found[2])))


def arranged(order: Sequence[int | str], parameters: Sequence[Any] | Mapping[str, Any]) -> list[Any]:
    """Parameters in the order of the marks."""
    given: Any = parameters
    return [given[name] for name in order]


@lru_cache(maxsize=2048)
def script(sql: str) -> str:
    """Several statements, mostly CREATE, as PostgreSQL reads them."""
    return ";\n".join(_created(part) for part in sql.split(";") if part.strip())


@lru_cache(maxsize=2048)
def _marked(sql: str) -> Said:
    out: list[str] = []
    order: list[int | str] = []
    plain = 0
    for token in _TOKEN.findall(_REPLACE.sub(lambda found: f"INSERT INTO {found[2]}", sql, count=1)):
        if token[0] == "?":
            order.append(int(token[1:]) - 1 if len(token) > 1 else plain)
            plain += 1
            out.append("%s")
        elif token[0] == ":" and len(token) > 1:
            order.append(token[1:])
            out.append("%s")
        else:
            out.append(_worded(token))
    return Said("".join(out), tuple(order))


def _worded(word: str) -> str:
    if word[0] == "'" or word == "%":
        return word.replace("%", "%%")
    if word.upper() == "LIKE":
        return "ILIKE"  # SQLite's LIKE does not look at the case of ASCII; under COLLATE "C" neither does this
    if word.upper() == "IMMEDIATE":
        return ""
    return f'"{word}"' if word.lower() in _RESERVED else word


def _created(sql: str) -> str:
    if not _CREATE.match(sql):
        return _marked(sql).sql.replace("%%", "%")
    sql = _TEXT.sub('TEXT COLLATE "C"', _ROWID.sub("", sql))
    return "".join(_TYPES.get(word.upper(), _worded(word)) for word in _TOKEN.findall(sql)).replace("%%", "%")


def _on_conflict(what: str, shape: Shape) -> str:
    """REPLACE puts every column anew, also those that the statement does not name."""
    rest = [f'"{name}" = excluded."{name}"' for name in shape.columns if name not in shape.key]
    if what == "IGNORE" or not rest:
        return " ON CONFLICT DO NOTHING"
    key = ", ".join(f'"{name}"' for name in shape.key)
    return f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(rest)}"
