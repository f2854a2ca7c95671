"""The few shapes of Markdown that the made pages need."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

MADE = "Made from the code by `make docs`; to change a sentence here, change it beside the code that it is about."


def page(title: str, about: str, parts: Iterable[str]) -> str:
    """A whole page: title, what it is about, its parts with a blank line between."""
    return "\n\n".join([f"# {title}", f"{about} {MADE}", *parts]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table; a bar within a cell is escaped, a line's end becomes a blank.

    >>> print(table(["a", "b"], [["1", "x | y"]]))
    | a | b |
    |---|---|
    | 1 | x \| y |
    """
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("|---" * len(head) + "|" if line is lines[1] else f"| {' | '.join(line)} |" for line in lines)


def cleaned(doc: str | None) -> str:
    """A docstring as Markdown: without its indent, an example shown as console text."""
    text = inspect.cleandoc(doc or "")
    return re.sub(r"^>>> .*(?:\n(?!\n).*)*", lambda found: f"```python\n{found[0]}\n```", text, flags=re.MULTILINE)


def anchor(heading: str) -> str:
    """What a heading is called in a link, as GitHub does it.

    >>> anchor("[[source]] kind = modbus")
    'source-kind--modbus'
    """
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
