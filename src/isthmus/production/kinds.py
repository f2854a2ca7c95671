"""Whether the tags bound to a machine can say what its state rules ask of them, by the kind of their values."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from isthmus.model.plant import StateRules
from isthmus.model.samples import ValueKind
from isthmus.production.profiles import Signal, profiles
from isthmus.production.rules import RULE

_SPOKEN: Final = {
    ValueKind.F64: "a number",
    ValueKind.I64: "a whole number",
    ValueKind.BOOL: "yes or no",
    ValueKind.STR: "a text",
}
_FLAG: Final = frozenset({0, 1})
Kinds = Mapping[str, ValueKind]


def check_kinds(rules: StateRules, kinds: Kinds) -> list[str]:
    """Every sentence that is wrong in a machine's `state` section for tags of these kinds, by their name in it.

    What `check_state` tells already, and names whose kind is not known, are left alone.
    """
    if rules.profile is not None:
        profile = profiles().get(rules.profile)
        signals = profile.signals if profile else {}
        return [
            f"profile {rules.profile} reads words from {name!r}, and {rules.tags[name]} is {_said(kinds[name])}"
            for name, signal in signals.items()
            if name in kinds and not _fits(signal, kinds[name])
        ]
    return [
        f"rule {number}, {rule!r}: {what}" for number, rule in enumerate(rules.rules, 1) for what in _wrong(rule, kinds)
    ]


def _fits(signal: Signal, kind: ValueKind) -> bool:
    if kind is ValueKind.BOOL:
        return set(signal.numbers) >= _FLAG
    return kind is ValueKind.STR or bool(signal.numbers)


def _wrong(rule: str, kinds: Kinds) -> Iterator[str]:
    match = RULE.match(rule)
    if match is None or match[2] is None:
        return
    try:
        tree = ast.parse(match[2].strip(), mode="eval")
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            yield from _calculated(node, kinds)
        elif isinstance(node, ast.Compare):
            for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                yield from _compared(left, op, right, kinds)


def _calculated(node: ast.BinOp, kinds: Kinds) -> Iterator[str]:
    for side in (node.left, node.right):
        kind = _kind(side, kinds)
        if isinstance(side, ast.Name) and kind in (ValueKind.STR, ValueKind.BOOL):
            yield f"{side.id} is {_said(kind)}; only numbers can be calculated with"


def _compared(left: ast.expr, op: ast.cmpop, right: ast.expr, kinds: Kinds) -> Iterator[str]:
    if isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
        for side in (left, right):
            kind = _kind(side, kinds)
            if isinstance(side, ast.Name) and kind in (ValueKind.STR, ValueKind.BOOL):
                yield f"{side.id} is {_said(kind)} and is neither more nor less than anything; compare it with =="
        return
    members = right.elts if isinstance(right, ast.Tuple | ast.List | ast.Set) else [right]
    for member in members:
        one, other = _kind(left, kinds), _kind(member, kinds)
        if one is not None and other is not None and (isinstance(left, ast.Name) or isinstance(member, ast.Name)):
            yield from _never_equal(left, one, member, other)


def _never_equal(left: ast.expr, one: ValueKind, right: ast.expr, other: ValueKind) -> Iterator[str]:
    if (one is ValueKind.STR) != (other is ValueKind.STR):
        yield f"{ast.unparse(left)} is {_said(one)} and {ast.unparse(right)} is {_said(other)}; they are never equal"
    for flag, side in ((one, right), (other, left)):
        odd = isinstance(side, ast.Constant) and not isinstance(side.value, str) and side.value not in _FLAG
        if flag is ValueKind.BOOL and odd:
            yield f"{ast.unparse(left if side is right else right)} is yes or no, and never {ast.unparse(side)}"


def _kind(node: ast.expr, kinds: Kinds) -> ValueKind | None:
    """The kind of what stands there; None for what is calculated, or a tag whose kind is not known."""
    if isinstance(node, ast.Name):
        return kinds.get(node.id)
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            return ValueKind.BOOL
        return ValueKind.STR if isinstance(node.value, str) else ValueKind.F64
    return None


def _said(kind: ValueKind) -> str:
    return f"{_SPOKEN[kind]} ({kind.value})"
