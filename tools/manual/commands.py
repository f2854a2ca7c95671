"""docs/reference/commands.md: every verb of the command line, from the parser itself.

argparse's own help text differs between versions of Python and widths of terminals, so that the page
is built from the parser's arguments and not from what it prints.
"""

from __future__ import annotations

import argparse
import getpass
import textwrap
from collections.abc import Iterator

from isthmus.cli import parser
from manual import markdown

_ABOUT = (
    "Every command. It ends with 0 when it is done, 1 when it failed, 2 when it was called wrongly and 130 when you "
    "stopped it. Without the script on your path, `python -m isthmus` is the same."
)


def page() -> str:
    """Every verb in the order of the alphabet."""
    verbs = _choices(parser())
    helps = {verb: (sub.description or "").partition("\n")[0] for verb, sub in verbs.items()}
    index = markdown.table(["command", ""], [[f"[`isthmus {verb}`](#isthmus-{verb})", helps[verb]] for verb in verbs])
    parts = [index]
    for verb, sub in verbs.items():
        parts += _command(f"isthmus {verb}", sub, sub.description or "", "##")
    return markdown.page("Commands", _ABOUT, parts)


def _command(name: str, of: argparse.ArgumentParser, told: str, level: str) -> Iterator[str]:
    """A command, then each step below it."""
    yield f"{level} {name}"
    yield from _paragraphs(told)
    yield from _arguments(of)
    helps = _helps(of)
    for step, sub in _choices(of).items():
        yield from _command(f"{name} {step}", sub, sub.description or helps[step], "###")


def _paragraphs(text: str) -> Iterator[str]:
    """A command's description; a paragraph with indented lines in it is an example."""
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("isthmus ") or any(line.startswith("    ") for line in paragraph.splitlines()):
            yield f"```text\n{textwrap.dedent(paragraph)}\n```"
        else:
            yield paragraph


def _arguments(sub: argparse.ArgumentParser) -> Iterator[str]:
    rows = [_row(action) for action in sub._actions if _told(action)]  # noqa: SLF001  argparse has no other way
    if rows:
        yield markdown.table(["argument", "", "meaning"], rows)


def _told(action: argparse.Action) -> bool:
    return not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))  # noqa: SLF001  as above


def _row(action: argparse.Action) -> list[str]:
    value = action.metavar or action.dest.upper()
    if action.choices:
        value = "|".join(str(choice) for choice in action.choices)
    takes = action.nargs != 0
    name = f"`{action.option_strings[-1]}{f' {value}' if takes else ''}`" if action.option_strings else f"`{value}`"
    needed = "required" if action.required and action.nargs not in ("*", "?") else "optional"
    default = "the user of this machine" if action.default == getpass.getuser() else action.default
    return [name, needed, (action.help or "") % {"default": default}]


def _choices(of: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The verbs or steps below a parser, none for one without."""
    for action in of._actions:  # noqa: SLF001  as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  as above
            return dict(sorted(action.choices.items()))
    return {}


def _helps(of: argparse.ArgumentParser) -> dict[str, str]:
    """What the list of steps says of each, as a sentence."""
    for action in of._actions:  # noqa: SLF001  as above
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  as above
            told = {each.dest: each.help or "" for each in action._choices_actions}  # noqa: SLF001  as above
            return {step: f"{text[:1].upper()}{text[1:].rstrip('.')}." for step, text in told.items()}
    return {}
