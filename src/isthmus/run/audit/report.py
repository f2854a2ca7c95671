"""Write the audit for the board: one HTML file, or a PDF where Chromium is at hand.

isthmus audit report audit.html
isthmus audit report audit.pdf
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from isthmus.model.errors import IsthmusError, UsageError
from isthmus.run.auditing.words import folder

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
_PRINTS_WITHIN_S: Final = 90
_SILENT: Final = (
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no name is ever looked up
    "--proxy-server=http://127.0.0.1:9",  # what has no name goes nowhere either
    "--proxy-bypass-list=<-loopback>",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-features=AsyncDns,DialMediaRouteProvider,MediaRouter,OptimizationHints,Translate",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
)
"""A browser asks its maker for news as soon as it starts; on a laptop in a plant it must send nothing."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("target", type=Path, metavar="FILE", help="ends in .html or .pdf")
    folder(parser, "--from")


def run(args: argparse.Namespace) -> int:
    """Write it."""
    from isthmus.run.auditing.report import report  # noqa: PLC0415  heavy
    from isthmus.run.auditing.store import AuditStore  # noqa: PLC0415  heavy

    if args.target.suffix.lower() not in (".html", ".pdf"):
        msg = f"{args.target} says no format: let it end in .html or .pdf"
        raise UsageError(msg)
    with AuditStore(args.folder, make=False) as store:
        page = report(store, time.time_ns())
    try:
        if args.target.suffix.lower() == ".html":
            args.target.write_text(page, encoding="utf-8")
        else:
            _print(page, args.target)
    except OSError as error:
        msg = f"{args.target} cannot be written: {error.strerror}"
        raise IsthmusError(msg) from error
    print(f"{args.target}: {args.target.stat().st_size / 1e3:,.0f} kB")
    return 0


def _print(page: str, target: Path) -> None:
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        msg = f"a PDF needs Chromium or Chrome on this machine; write {target.with_suffix('.html')} and print it from any browser"
        raise UsageError(msg)
    with tempfile.TemporaryDirectory() as place:
        source, made = Path(place) / "report.html", Path(place) / "report.pdf"
        source.write_text(page, encoding="utf-8")
        words = [
            browser,
            "--headless=new",
            "--no-sandbox",  # the page is our own file without scripts
            "--disable-gpu",
            *_SILENT,
            f"--user-data-dir={place}/profile",
            "--no-pdf-header-footer",
            f"--print-to-pdf={made}",
            source.as_uri(),
        ]
        try:
            done = subprocess.run(words, capture_output=True, timeout=_PRINTS_WITHIN_S, check=False)  # noqa: S603  words of our own
        except subprocess.TimeoutExpired as error:
            msg = f"{browser} did not print within {_PRINTS_WITHIN_S} s; write an .html and print it from any browser"
            raise IsthmusError(msg) from error
        if not made.exists():
            msg = f"{browser} printed nothing: {done.stderr.decode(errors='replace')[-300:]}"
            raise IsthmusError(msg)
        shutil.copyfile(made, target)
