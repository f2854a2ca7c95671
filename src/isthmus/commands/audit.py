"""See what is on the network without touching it, keep the record of it, and judge it.

isthmus audit VERB --help     what each of them does
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil


def arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-verb per file of `run/audit/`, each like a command: a docstring, `arguments` and `run`."""
    from isthmus.run import audit  # noqa: PLC0415  its verbs load what they need inside `run`

    verbs = parser.add_subparsers(dest="audit_verb", metavar="VERB", required=True)
    for found in pkgutil.iter_modules(audit.__path__):
        module = importlib.import_module(f"{audit.__name__}.{found.name}")
        text = (module.__doc__ or "").strip()
        verb = verbs.add_parser(
            found.name.removesuffix("_").replace("_", "-"),
            help=text.partition("\n")[0].rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(verb)
        verb.set_defaults(audit_run=module.run)


def run(args: argparse.Namespace) -> int:
    """The sub-verb's exit code."""
    from isthmus.run.private import keep_private  # noqa: PLC0415  beside what loads more

    keep_private()
    return int(args.audit_run(args))
