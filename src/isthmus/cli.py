"""The command line: one verb per file in `commands/`, found by itself.

A command file has a docstring (its first line is the help), `arguments(parser)` and `run(args)`,
which returns the exit code. It imports what is heavy inside `run`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import select
import sys
from collections.abc import Sequence

from isthmus import __version__, commands
from isthmus.model.errors import IsthmusError, UsageError

_FAILED, _MISUSED, _STOPPED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0 done, 1 failed, 2 misused, 130 stopped by the user."""
    args = parser().parse_args(argv)
    try:
        code = int(args.run(args))
        sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has nowhere to go
        return 0
    except UsageError as error:
        print(f"isthmus {args.verb}: {error}", file=sys.stderr)
        return _MISUSED
    except IsthmusError as error:
        print(error, file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return _STOPPED
    return code


def parser() -> argparse.ArgumentParser:
    """The whole command line, every verb with its own help."""
    top = argparse.ArgumentParser(
        prog="isthmus",
        description="Joins a factory's two worlds: machine data to the business, without disturbing the line.",
        epilog="Begin with `isthmus demo`, or with `isthmus init` for a plant of your own.",
    )
    top.add_argument("--version", action="version", version=f"isthmus {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for found in pkgutil.iter_modules(commands.__path__):
        module = importlib.import_module(f"{commands.__name__}.{found.name}")
        text = (module.__doc__ or "").strip()
        verb = verbs.add_parser(
            found.name.replace("_", "-"),
            help=text.partition("\n")[0].rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(verb)
        verb.set_defaults(run=module.run)
    return top


def _nobody_reads() -> bool:
    """True when who read our output has read enough: `isthmus records | head -3`."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))
