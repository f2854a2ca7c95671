"""The small language of state rules: comparisons, and/or/not, arithmetic and `in` over named signals.

It is read by Python's parser and nothing of Python is run: a tree of a few known nodes is turned into
numpy operations over whole columns. What is not known stays not known, unless the rest decides
(Kleene): `alarm or speed < 1` holds when the speed is 0, though the alarm is Bad.

    spindle_speed > 50 and not alarm
    mode == 'AUTO' and 0 < feed <= 120
    program in ('O1001', 'O1002')
"""

from __future__ import annotations

import ast
import difflib
import operator
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

import numpy as np

from isthmus.production.signals import Column

LONGEST: Final = 300
"""Characters of one expression; longer ones are better said as several rules."""

Columns = Mapping[str, Column]
Node = Callable[[Columns], Column]

_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_ORDER: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SPEAKABLE: Final = "comparisons, and, or, not, + - * / %, and in (...)"


class ExpressionMistake(ValueError):
    """An expression that cannot be read. The message says what, where and how to mend it."""


def compile_expression(text: str, names: Collection[str]) -> Node:
    """Turn an expression into a function over columns that gives a column of truth or numbers.

    Raises ExpressionMistake for the first thing that is wrong; `mistakes` gives them all.
    """
    found = list(mistakes(text, names))
    if found:
        raise ExpressionMistake(found[0])
    return _node(ast.parse(text.strip(), mode="eval").body)


def truth(column: Column) -> Column:
    """A column as yes or no: a number is yes when it is not 0, a text when it is not empty."""
    if column.value.dtype == np.bool_:
        return column
    return Column(column.value.astype(np.bool_), column.known)


def mistakes(text: str, names: Collection[str]) -> Iterator[str]:
    """Every sentence that is wrong in an expression, with its place; nothing when it can be used."""
    text = text.strip()
    if len(text) > LONGEST:
        yield f"it is {len(text)} characters long; split it into rules of at most {LONGEST}"
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser's advice to programmers is no help to an engineer
            tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError) as error:
        column = getattr(error, "offset", None) or 1
        yield f"it cannot be read at character {column}{_likely(text)}"
        return
    yield from _wrong(tree.body, names)


def _likely(text: str) -> str:
    if "&&" in text or "||" in text or "!" in text.replace("!=", ""):
        return "; write and, or, not"
    if "=" in text.translate(str.maketrans("", "", "<>!")).replace("==", ""):
        return "; to compare, write == with two signs"
    return "; check brackets and quotation marks"


def _wrong(node: ast.expr, names: Collection[str]) -> Iterator[str]:
    place = f"at character {node.col_offset + 1}"
    parts: list[ast.expr] = []
    match node:
        case ast.Name(id=name) if name not in names:
            yield f"{place}: no tag is bound to {name!r}; {_nearest(name, names)}"
        case ast.Constant(value=value) if not isinstance(value, bool | int | float | str):
            yield f"{place}: {value!r} is neither a number nor a text"
        case ast.Name() | ast.Constant():
            pass
        case ast.BoolOp(values=parts):
            pass
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, right=right):
            parts = [left, right]
            yield from _wrong_calculation(node)
        case ast.Compare(left=left, comparators=sides):
            parts = [left, *(side for side in sides if not _is_list(side))]
            yield from _wrong_comparison(node)
        case _:
            yield f"{place}: this is not part of the rule language; it knows {_SPEAKABLE}"
    for part in parts:
        yield from _wrong(part, names)


def _wrong_calculation(node: ast.BinOp) -> Iterator[str]:
    if type(node.op) not in _ARITHMETIC:
        yield f"at character {node.col_offset + 1}: only + - * / % can be calculated"
    for side in (node.left, node.right):
        if _is_text(side):
            yield f"at character {side.col_offset + 1}: a text cannot be calculated with"


def _wrong_comparison(node: ast.Compare) -> Iterator[str]:
    for before, op, side in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
        place = f"at character {side.col_offset + 1}"
        if isinstance(op, ast.In | ast.NotIn) != _is_list(side):
            yield f"{place}: behind 'in', and only there, stands a list of values: ('AUTO', 'MDI')"
        if isinstance(op, ast.Is | ast.IsNot):
            yield f"{place}: write == or != instead of 'is'"
        if type(op) in _ORDER and (_is_text(before) or _is_text(side)):
            yield f"{place}: texts can be compared with ==, != and in alone"


def _members(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []


def _is_list(node: ast.expr) -> bool:
    members = _members(node)
    return bool(members) and all(isinstance(member, ast.Constant) for member in members)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _nearest(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}"
    return f"known are {', '.join(sorted(names))}" if names else "bind it under tags"


def _node(node: ast.expr) -> Node:  # noqa: PLR0911  one return for each node of the language
    match node:
        case ast.Name(id=name):
            return lambda columns: columns[name]
        case ast.Constant(value=value):
            return _constant(value)
        case ast.BoolOp(op=op, values=values):
            return _junction([_node(value) for value in values], every=isinstance(op, ast.And))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _not(_node(operand))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _calculation(operator.sub, _constant(0), _node(operand))
        case ast.UnaryOp(operand=operand):
            return _node(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return _calculation(_ARITHMETIC[type(op)], _node(left), _node(right))
        case ast.Compare(left=left, ops=ops, comparators=sides):
            pairs = zip([left, *sides], ops, sides, strict=False)
            return _junction([_comparison(one, op, other) for one, op, other in pairs], every=True)
    msg = f"{type(node).__name__} passed the check and cannot be compiled"
    raise TypeError(msg)


def _constant(value: Any) -> Node:  # noqa: ANN401  a constant of Python's parser
    array = np.array([value], dtype=object if isinstance(value, str) else None)
    column = Column(array, np.ones(1, np.bool_))
    return lambda _columns: column


def _junction(parts: list[Node], *, every: bool) -> Node:
    """All of them (`every`) or any of them, by Kleene: one part that decides needs no other."""

    def run(columns: Columns) -> Column:
        value, known = np.array([every]), np.ones(1, np.bool_)
        for part in parts:
            other = truth(part(columns))
            decided = (known & (value != every)) | (other.known & (other.value != every))
            value = np.where(decided, not every, every)
            known = decided | (known & other.known)
        return Column(value, known)

    return run


def _not(part: Node) -> Node:
    def run(columns: Columns) -> Column:
        column = truth(part(columns))
        return Column(~column.value, column.known)

    return run


def _calculation(calculate: Callable[[Any, Any], Any], left: Node, right: Node) -> Node:
    def run(columns: Columns) -> Column:
        one, other = left(columns), right(columns)
        known = one.known & other.known
        if object in (one.value.dtype, other.value.dtype):
            return Column(np.zeros(known.shape), np.zeros(known.shape, np.bool_))
        with np.errstate(all="ignore"):
            value = calculate(one.value.astype(np.float64), other.value.astype(np.float64))
        return Column(value, known & np.isfinite(value))

    return run


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr) -> Node:
    if isinstance(op, ast.In | ast.NotIn):
        found = _junction([_equality(_node(left), _node(member)) for member in _members(right)], every=False)
        return found if isinstance(op, ast.In) else _not(found)
    if isinstance(op, ast.Eq | ast.NotEq):
        same = _equality(_node(left), _node(right))
        return same if isinstance(op, ast.Eq) else _not(same)
    return _ordering(_ORDER[type(op)], _node(left), _node(right))


def _equality(left: Node, right: Node) -> Node:
    """Equal values; a text and a number are never equal, as a tag may change its kind."""

    def run(columns: Columns) -> Column:
        one, other = left(columns), right(columns)
        return Column(np.asarray(one.value == other.value, np.bool_), one.known & other.known)

    return run


def _ordering(compare: Callable[[Any, Any], Any], left: Node, right: Node) -> Node:
    def run(columns: Columns) -> Column:
        one, other = left(columns), right(columns)
        known = one.known & other.known
        if object in (one.value.dtype, other.value.dtype):
            return Column(np.zeros(known.shape, np.bool_), np.zeros(known.shape, np.bool_))
        return Column(compare(one.value, other.value), known)

    return run
