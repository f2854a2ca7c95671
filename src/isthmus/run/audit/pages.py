"""Serve the audit's pages on this machine, with nothing else configured.

    isthmus audit pages --into audit/            then open the link that it prints

Only this machine can reach them. A site that runs serves the same pages beside the plant's.
"""

from __future__ import annotations

import argparse
from typing import Final

from isthmus.run.auditing.words import folder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which audit, and where."""
    folder(parser)
    parser.add_argument("--port", type=port, default=8620, help="the port on 127.0.0.1 (default: %(default)s)")


_LAST_PORT: Final = 65_535


def port(text: str) -> int:
    """A port. Raises ArgumentTypeError for what is none."""
    if not text.isdigit() or not 0 <= int(text) <= _LAST_PORT:
        msg = f"{text!r} is no port: a number up to {_LAST_PORT:,}"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    from isthmus.run.auditing.pages import serve  # noqa: PLC0415  heavy

    return serve(args.folder, args.port)
