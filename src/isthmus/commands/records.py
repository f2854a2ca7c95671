"""List every kind of record with its one emitter.

A kind that two places emit, or none, is a mistake in the code: this list says who vouches for each.

    isthmus records
    isthmus records | grep production/
"""

from __future__ import annotations

import argparse

from isthmus.model.records import kinds


def arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(args: argparse.Namespace) -> int:
    """Print a line per kind."""
    del args
    for name, kind in kinds().items():
        print(f"{name:22} {kind.emitter}")
    return 0
