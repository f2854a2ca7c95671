"""Writes the pages that are made from the code, or with --check says which are out of date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from manual import commands, flow, history, northgate, plant_file, records, words

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = {
    "flow.md": flow.page,
    "reference/plant-file.md": plant_file.page,
    "reference/commands.md": commands.page,
    "reference/records.md": records.page,
    "reference/history.md": history.history_page,
    "reference/status.md": words.status_page,
    "reference/indicators.md": words.indicators_page,
    "reference/failures.md": words.failures_page,
    "../examples/plants/northgate.toml": northgate.page,
}
"""Page by page: its path in docs/ and who makes it."""


def main() -> int:
    """Write or check; 1 when --check finds a stale page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true")
    check = options.parse_args().check
    stale = []
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)}; run `make docs` and commit")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
