"""Versions of OT products: compared number by number, and the ranges in which advisories speak of them.

Three answers: yes, no, and None for not known. A text that cannot be read, a version that is told too
short, two letters that have no order: each is None, never "no". What is affected is never called unaffected.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import zip_longest
from typing import Final, Literal, NamedTuple

Operator = Literal["<", "<=", ">", ">=", "=", "if"]
Order = Literal[-1, 0, 1]
_ANY: Final = "*"
_LATER: Final = {
    "SP": "SP",
    "UPD": "UPD",
    "UPDATE": "UPD",
    "UP": "UPD",
    "HF": "HF",
    "HOTFIX": "HF",
    "PATCH": "P",
    "P": "P",
    "QU": "QU",
    "MP": "MP",
    "FP": "FP",
    "BUILD": "BUILD",
    "REV": "REV",
    "R": "R",
    "CU": "CU",
    "RELEASE": "R",
}
"""Words of what comes after a release; without the word it is earlier. All else among letters has no order."""
_NEUTRAL: Final = (
    r"(?:(?:all|the|firmware|software|product|application|os|fw|sw|versions?|ver\.?|releases?|revisions?|builds?|"
    r"including|of|and)\b[\s:]*)*"
)
_PIECE: Final = (
    r"(?:v|r|fw|ver\.?|version|rev\.?)?\s*\.?\s*\d+(?:[._-]?(?:\d+|[xX*]\b))*(?:\(\d+\w*\)\s?)?"
    r"(?:[a-zA-Z]{1,2}(?![a-zA-Z])\d*(?:\.\d+)*)?"
)
_MORE: Final = (
    r"(?:[\s_-]*(?:sp|upd|update|up|u|hf|hotfix|patch|p|qu|mp|fp|build|rev|r|cu|ir|release)[\s._-]*\d+(?:[._]\d+)*[a-z]?"
    r"|-[a-z]\d+|\s[A-Z]\d+\b|\s+\(build\s+[\d.]+\))*"
)
_NAMED: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9]*[\s_.-]+){0,3}[A-Za-z]{0,12}[\s_.-]*(?=v?\d)", re.IGNORECASE)
"""What a version may be told with: the same words must stand before a device's, or nothing is known."""
_NO_NAME: Final = re.compile(
    r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|date|first|digit|serial|with|all|and|or", re.IGNORECASE
)
_CONDITION: Final = re.compile(
    r"(?:\s*\((?!formerly)([^()\d]*)\)|[\s_]+((?:only[\s_]+(?:when|if|with)|with|when|if)[\s_].+))$", re.IGNORECASE
)
_ALIAS: Final = re.compile(r"\s*\((build\s+nr\s*\.?\s*|v)?(\d[\d.]*)\)$", re.IGNORECASE)
_OF: Final = re.compile(r"([A-Z]{2,6}\d?)\s+(?=<)")
_BETWEEN: Final = re.compile(r"between\s+(\S+)\s+\((in|ex)cluding\)\s+and\s+(\S+)\s+\((in|ex)cluding\)", re.IGNORECASE)
_VERSION: Final = re.compile(rf"{_PIECE}{_MORE}", re.IGNORECASE)
_TOKEN: Final = re.compile(r"\d+|[a-zA-Z]+|\*")
_OPERATORS: Final = (("=<", "<="), ("=>", ">="), ("≤", "<="), ("≥", ">="), ("==", "="))
_SPOKEN: Final = (
    (rf"(?:prior to|before|earlier than|older than|lower than|less than|below)\s+{_NEUTRAL}", "<"),
    (rf"(?:up to and including|up to|through)\s+{_NEUTRAL}", "<="),
    (rf"(?:after|later than|newer than|above|greater than)\s+{_NEUTRAL}", ">"),
    (rf"(?:starting (?:from|with)|since|from)\s+{_NEUTRAL}", ">="),
)
_AND_EARLIER: Final = re.compile(
    r"[\s,]*\(?(?:and|or)\s+(?:all\s+)?(?:prior|earlier|below|older|lower|previous)(?:\s+(?:versions?|releases?))?\)?",
    re.IGNORECASE,
)
_AND_LATER: Final = re.compile(
    r"[\s,]*\(?(?:and|or)\s+(?:all\s+)?(?:later|newer|above|higher|greater)(?:\s+(?:versions?|releases?))?\)?",
    re.IGNORECASE,
)


class Bound(NamedTuple):
    """One side of a range; of "if" a condition in words, of which nobody knows whether it holds."""

    operator: Operator
    version: str


Range = tuple[Bound, ...]
"""All of its bounds hold; an empty range is every version."""


def tokens(version: str) -> tuple[int | str, ...]:
    """A version in pieces: numbers, words in capitals, "*" for any number.

    >>> tokens("V3.2.17"), tokens("V17 Update 2"), tokens("V3.X.17")
    ((3, 2, 17), (17, 'UPD', 2), (3, '*', 17))
    """
    text = re.sub(r"^(?:version|ver|rev|fw|v|r)\.?\s*(?=\d)", "", version.strip(), flags=re.IGNORECASE)
    out: list[int | str] = []
    for piece in _TOKEN.findall(text):
        word = piece.upper()
        if piece.isdigit():
            out.append(int(piece))
        elif word in ("X", "XX", "XXX", _ANY) and not (out and text[text.find(piece) - 1].isdigit()):
            out.append(_ANY)
        elif word == "V" and out:
            continue
        else:
            out.append(_LATER.get(word, word))
    return tuple(out)


def same(one: str, other: str) -> bool:
    """Whether two texts say the same version.

    >>> same("V3.2.6", "3.2.6"), same("4.3", "4.7")
    (True, False)
    """
    return one == other or tokens(one) == tokens(other)


def holds(bound: Bound, version: str) -> bool | None:
    """Whether a device's version lies on the bound's side; None when that cannot be known.

    >>> holds(Bound("<", "3.2.17"), "3.2.7"), holds(Bound("<", "V3.X.17"), "V3.1.20"), holds(Bound("<=", "4"), "x")
    (True, False, None)
    """
    have, limit = tokens(version), tokens(bound.version)
    if bound.operator == "if" or not _comparable(have, limit):
        return None
    place, order = _differ(have, limit)
    if place == "inside":
        return None if order is None else _sided(bound.operator, order)
    if place == "equal":
        return None if _ANY in limit and bound.operator in ("<", ">") else bound.operator in ("<=", ">=", "=")
    if place == "told short":
        # 4.7 may be 4.7.0 or 4.7.5: as far as it is told it lies below, and a "no" would be a guess.
        return True if bound.operator in ("<", "<=") else None
    # The device says more than the bound: "<= 3.2" may or may not mean 3.2.5.
    return (
        {"<": order == -1 or None, ">": order == 1 or None, ">=": order != -1 or None}.get(bound.operator)
        if order
        else None
    )


def _comparable(have: tuple[int | str, ...], limit: tuple[int | str, ...]) -> bool:
    """Whether both begin with a number, or with the same word."""
    if not have or not limit or _ANY in have:
        return False
    numbers = isinstance(have[0], int) and (isinstance(limit[0], int) or limit[0] == _ANY)
    return numbers or have[0] == limit[0]


def _sided(operator: Operator, order: Order) -> bool:
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0, "=": order == 0}[operator]


def _differ(have: tuple[int | str, ...], limit: tuple[int | str, ...]) -> tuple[str, Order | None]:
    """Where two versions part, and in which order they are there; None for no order."""
    for mine, its in zip_longest(have, limit):
        if its in (mine, _ANY):
            continue
        if its is None:
            return _longer(have[len(limit) :])
        if mine is None:
            return "equal" if not _rest(limit[len(have) :]) else "told short", None
        if isinstance(mine, int) and isinstance(its, int):
            return "inside", -1 if mine < its else 1
        if isinstance(mine, str) and isinstance(its, str):
            plain = len(mine) == len(its) == 1 and mine not in _LATER and its not in _LATER
            return "inside", (-1 if mine < its else 1) if plain else None
        return "inside", None
    return "equal", 0


def _rest(pieces: tuple[int | str, ...]) -> bool:
    """Whether anything but zeros follows."""
    return any(piece not in (0, _ANY) for piece in pieces)


def _longer(pieces: tuple[int | str, ...]) -> tuple[str, Order | None]:
    if not _rest(pieces):
        return "equal", 0
    first = next(piece for piece in pieces if piece != 0)
    known = isinstance(first, int) or first in _LATER.values()
    return "told long", 1 if known else None


@lru_cache(maxsize=50_000)
def ranges(text: str) -> tuple[Range, ...] | None:
    """The ranges that an advisory's text means, one of which must hold; None when it cannot be read.

    >>> ranges("vers:all/*"), ranges("< V3.2.17")
    (((),), ((Bound(operator='<', version='V3.2.17'),),))
    >>> ranges(">=1.220|<=1.281")
    ((Bound(operator='>=', version='1.220'), Bound(operator='<=', version='1.281')),)
    >>> ranges("first 2 digits of serial number are 02") is None
    True
    """
    plain = _plain(text)
    if re.fullmatch(r"(?:all|any|\*|all\s*/\s*\*|-|all versions?|versions? all|vers:all)?", plain, re.IGNORECASE):
        return ((),) if plain else None
    parts = [
        part.strip()
        for part in re.split(r"\s*[|;]\s*|,(?=\s*(?:[<>=v]|\d))|\s+\bor\b\s+(?=[<>=]|v?\d)", plain)
        if part.strip(" ,")
    ]
    read = [_conditional(part) for part in parts]
    if not read or any(one is None for one in read):
        return None
    return _paired([one for one in read if one is not None])


def names_single_versions(text: str) -> bool:
    """Whether a text names versions one by one, so that of all others it says nothing.

    >>> names_single_versions("V4.6, V4.7"), names_single_versions("< V4.7"), names_single_versions("all")
    (True, False, False)
    """
    found = ranges(text) or ()
    return any(bounds and all(bound.operator in ("=", "if") for bound in bounds) for bounds in found)


def affected(text: str, version: str) -> bool | None:
    """Whether an advisory's text covers a device's version; None when that cannot be known.

    >>> affected("< V3.2.17", "V3.2.7"), affected("< V3.2.17", ""), affected("vers:all/*", "")
    (True, None, True)
    """
    found = ranges(text)
    if found is None:
        return None
    answers = [_within(each, version) for each in found]
    if True in answers:
        return True
    return None if None in answers else False


def _within(bounds: Range, version: str) -> bool | None:
    answers = [holds(bound, version) for bound in bounds]
    if False in answers:
        return False
    return None if None in answers else True


def _plain(text: str) -> str:
    out = text.replace("\N{NO-BREAK SPACE}", " ").strip().strip(".").strip()
    out = re.sub(r"^vers:\w+/", "", out, flags=re.IGNORECASE)
    out = _BETWEEN.sub(lambda found: f"{_side('>', found[2])} {found[1]} {_side('<', found[4])} {found[3]}", out)
    for sign, plain in _OPERATORS:
        out = out.replace(sign, plain)
    for pattern, sign in _SPOKEN:
        out = re.sub(pattern, f" {sign} ", out, flags=re.IGNORECASE)
    return re.sub(rf"^{_NEUTRAL}(?=[<>=]|v?\d)", "", out.strip(), flags=re.IGNORECASE).strip()


def _side(sign: str, word: str) -> str:
    return f"{sign}=" if word.lower() == "in" else sign


def _conditional(part: str) -> Range | None:
    """The bounds of one part and the condition under which it speaks, if it names one.

    >>> _conditional("< V5.3 only when running on ROX II")
    (Bound(operator='<', version='V5.3'), Bound(operator='if', version='only when running on ROX II'))
    """
    conditions: list[Bound] = []
    if found := _OF.match(part):
        conditions.append(Bound("if", found[1]))
        part = part[found.end() :]
    if found := _CONDITION.search(part):
        conditions.append(Bound("if", (found[1] or found[2] or "").strip()))
        part = part[: found.start()]
    if re.fullmatch(r"\s*all[\s_]+versions\s*", part, re.IGNORECASE):
        return tuple(conditions)
    if found := _ALIAS.search(part):
        return _aliased(part[: found.start()], found[2], conditions, build=bool(found[1] and len(found[1]) > 1))
    bounds = _bounds(part)
    return None if bounds is None else (*bounds, *conditions)


def _aliased(part: str, other: str, conditions: list[Bound], *, build: bool) -> Range | None:
    """A version that is told twice, as in "1.3.0 (Build Nr. 1.3.0.1339)": the build says more where it begins alike."""
    bounds = _bounds(part)
    if bounds is None or len(bounds) != 1 or len(_alike(bounds[0].version, other)) < 2:  # noqa: PLR2004  two numbers
        return None
    if build:
        return (bounds[0]._replace(version=other), *conditions)
    return (*bounds, Bound("if", other), *conditions)


def _alike(one: str, other: str) -> tuple[int | str, ...]:
    """The pieces with which both begin."""
    out: list[int | str] = []
    for mine, its in zip(tokens(one), tokens(other), strict=False):
        if mine != its:
            break
        out.append(mine)
    return tuple(out)


def _bounds(part: str) -> Range | None:
    """The bounds of one part, all of which must hold."""
    out: list[Bound] = []
    rest = part.strip()
    while rest:
        sign = re.match(r"(<=|>=|<|>|=)\s*" + _NEUTRAL, rest, re.IGNORECASE)
        operator: Operator = sign[1] if sign else "="  # type: ignore[assignment]  # the pattern has no other
        rest = rest[sign.end() :] if sign else rest
        named = _named(rest) if sign else ""
        found = _VERSION.match(rest[len(named) :])
        if found is None or not _is_version(found[0]):
            return None
        version, rest = (named + found[0]).strip(), rest[len(named) + found.end() :]
        if later := (_AND_EARLIER.match(rest), _AND_LATER.match(rest)):
            earlier, after = later
            if earlier and operator in ("=", "<=", "<"):
                operator, rest = ("<" if operator == "<" else "<="), rest[earlier.end() :]
            elif after and operator in ("=", ">="):
                operator, rest = ">=", rest[after.end() :]
        dash = re.match(r"\s*(?:-|\N{EN DASH}|to)\s*(?=v?\d)", rest, re.IGNORECASE)
        if dash and not sign:
            operator, rest = ">=", "<=" + rest[dash.end() :]
        out.append(Bound(operator, version))
        rest = re.sub(r"^\s*(?:and|&|,|to)?\s*(?=[<>=])", "", rest, flags=re.IGNORECASE).strip()
        if rest and not re.match(r"[<>=]", rest):
            return None
    return tuple(out)


def _named(text: str) -> str:
    """The words before a version, "" for none; dates and serial numbers are no versions."""
    found = _NAMED.match(text)
    words = found[0] if found else ""
    if not words or _VERSION.match(text) or _NO_NAME.search(words):
        return ""
    rest = _VERSION.match(text[len(words) :])
    return words if rest and not re.search(r"\d-\d", rest[0]) else ""


def _is_version(text: str) -> bool:
    """Whether it is a version and not an order number or a word."""
    pieces = tokens(text)
    words = [piece for piece in pieces if isinstance(piece, str) and piece != _ANY]
    return bool(pieces) and all(word in _LATER.values() or len(word) <= 2 for word in words)  # noqa: PLR2004  build letters


def _paired(parts: list[Range]) -> tuple[Range, ...]:
    """`>= a | <= b` with a below b is one range, though written as two; all else are alternatives."""
    out: list[Range] = []
    for part in parts:
        opens = bool(out) and len(out[-1]) == 1 and out[-1][0].operator in (">=", ">")
        closes = len(part) == 1 and part[0].operator in ("<=", "<")
        if opens and closes and holds(Bound("<=", part[0].version), out[-1][0].version):
            out[-1] = (*out[-1], *part)
        else:
            out.append(part)
    return tuple(out)
