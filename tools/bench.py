"""Runs benchmarks one after the other; each ends with one JSON line that the docs quote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; 1 when one fails or prints no figures."""
    known = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    failed = 0
    for name in names or known:
        print(f"== {name}", flush=True)
        done = subprocess.run([sys.executable, known[name]], stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, end="", flush=True)
        lines = done.stdout.strip().splitlines()
        try:
            figures = json.loads(lines[-1]) if lines else {}
        except json.JSONDecodeError:
            figures = {}
        if done.returncode or not {"bench", "figures"} <= figures.keys():
            print(f"{name} failed (exit {done.returncode})")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
