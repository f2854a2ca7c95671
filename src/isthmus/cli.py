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
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from isthmus import __version__, commands
from isthmus.model.errors import IsthmusError, UsageError
from isthmus.run.lifeline import end_with_keeper

_FAILED, _MISUSED, _STOPPED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0 done, 1 failed, 2 misused, 130 stopped by the user."""
    end_with_keeper()
    # Nothing here multiplies matrices; the threads of numpy's library for it would spin while each command starts.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    given = list(sys.argv[1:] if argv is None else argv)
    top = parser()
    if not given:
        top.print_help()
        return 0
    if unknown := _unknown(given[0]):
        print(unknown, file=sys.stderr)
        return _MISUSED
    return _carry_out(top.parse_args(given))


def _carry_out(args: argparse.Namespace) -> int:
    try:
        code = int(args.run(args))
        sys.stdout.flush()
    except IsthmusError as error:
        return _say(args.verb, [error])
    except BaseExceptionGroup as group:
        # What a task group lets out: the sentences of its failures; what is none of ours is a bug and stays whole.
        ours, rest = group.split(IsthmusError)
        if ours is None or rest is not None:
            raise
        return _say(args.verb, list(_each(ours)))
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has nowhere to go
        return 0
    except KeyboardInterrupt:
        return _STOPPED
    return code


def _say(verb: str, errors: Sequence[BaseException]) -> int:
    misused = all(isinstance(error, UsageError) for error in errors)
    for error in errors:
        print(f"isthmus {verb}: {error}" if misused else error, file=sys.stderr)
    return _MISUSED if misused else _FAILED


def _each(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        yield from _each(error) if isinstance(error, BaseExceptionGroup) else (error,)


def _nobody_reads() -> bool:
    """True when who read our output has read enough: `isthmus records | head -3`."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return bool(poll.poll(0))


def _verbs() -> list[str]:
    return [found.name.replace("_", "-") for found in pkgutil.iter_modules(commands.__path__)]


def _unknown(verb: str) -> str:
    """Why there is no such verb, "" when there is one, or an option stands there."""
    if verb.startswith("-") or verb in _verbs():
        return ""
    near = get_close_matches(verb, _verbs(), 1, 0.5)
    return f"isthmus: there is no {verb!r}; " + (
        f"did you mean isthmus {near[0]}?" if near else "isthmus lists what there is"
    )


def parser() -> argparse.ArgumentParser:
    """The whole command line, every verb with its own help."""
    top = argparse.ArgumentParser(
        prog="isthmus",
        description="Joins a factory's two worlds: machine data to the business, without disturbing the line.",
        epilog="Begin with `isthmus demo`, or with `isthmus init` and `isthmus run` for a plant of your own. "
        "`isthmus VERB --help` says more of each, with examples.",
    )
    top.add_argument("--version", action="version", version=f"isthmus {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="VERB")
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
