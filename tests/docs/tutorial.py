"""Cuts the commands out of a page and runs them, so that a page cannot promise what does not happen.

    ```toml plant.toml        a file that is written into the folder first
    ```console                commands behind `$ `, run in a folder of the page's own
    ```console fails          the same; the last command must fail
    ```console demo           commands that need the demonstration, run beside its folder `demo`

A line that is no command must be printed by the command above it, in the order of the page; `...`
stands for anything. Blocks of any other sort are read by people alone.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(?P<sort>\w+)(?P<more>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "--- command {} ---"


class Block(NamedTuple):
    """One fenced block and the line of the page on which it begins."""

    line: int
    sort: str
    more: str
    text: str

    @property
    def needs_demo(self) -> bool:
        return self.more == "demo"


class Command(NamedTuple):
    """One command and what the page says that it prints."""

    text: str
    shown: tuple[str, ...]


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block that is written to a file or run."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        block = Block(text.count("\n", 0, found.start()) + 1, found["sort"], found["more"].strip(), found["text"])
        if block.sort == "console" or (block.sort == "toml" and block.more):
            yield block


def commands(block: Block) -> list[Command]:
    """The commands of a console block; a line that ends in a backslash goes on in the next."""
    out: list[Command] = []
    goes_on = False
    for line in block.text.splitlines():
        if line.startswith("$ ") or goes_on:
            text = line.removeprefix("$ ")
            out = [*out[:-1], Command(f"{out[-1].text}\n{text}", ())] if goes_on else [*out, Command(text, ())]
            goes_on = line.endswith("\\")
        elif line.strip():
            out[-1] = Command(out[-1].text, (*out[-1].shown, line))
    return out


def perform(page: Path, folder: Path, environment: Mapping[str, str], *, demo: bool) -> int:
    """Run a page's blocks in `folder`: all, or without `demo` those alone that need none. How many were run."""
    ran = 0
    for block in blocks(page):
        if block.sort == "toml":
            (folder / block.more).write_text(block.text, encoding="utf-8")
        elif demo or not block.needs_demo:
            _run(block, f"{page.name}:{block.line}", folder, environment)
            ran += 1
    return ran


def _run(block: Block, place: str, folder: Path, environment: Mapping[str, str]) -> None:
    wanted = commands(block)
    assert wanted, f"{place}: a console block without a command"
    lines = [part for number, each in enumerate(wanted) for part in (f"echo '{_MARK.format(number)}'", each.text)]
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", "exec 2>&1\n" + "\n".join(lines)],
        cwd=folder, env=dict(environment), stdout=subprocess.PIPE, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode != 0) == (block.more == "fails"), f"{place}: exit {done.returncode}\n{done.stdout}"
    for number, command in enumerate(wanted):
        printed = done.stdout.partition(_MARK.format(number))[2].partition(_MARK.format(number + 1))[0].splitlines()
        _compare(f"{place}: $ {command.text}", command.shown, printed)


def _compare(place: str, shown: tuple[str, ...], printed: list[str]) -> None:
    left = iter(printed)
    for line in shown:
        pattern = re.compile(".*".join(re.escape(part) for part in line.strip().split("...")))
        found = any(pattern.fullmatch(each.strip()) for each in left)
        assert found, f"{place}\nthe page shows: {line}\nit printed:\n" + "\n".join(printed)
