"""Installs, or looks for, the independent servers and tools that the tests speak to.

One file per peer in peers/: `debian` packages, `npm` packages (into .peers/npm), `pip` packages (into
.peers/<name>, an environment of its own), and `commands` or `files` that must be there afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".peers"


def peers() -> dict[str, dict[str, Any]]:
    """Every peer by its name."""
    return {path.stem: tomllib.loads(path.read_text()) for path in sorted((ROOT / "peers").glob("*.toml"))}


def missing(name: str, peer: dict[str, Any]) -> list[str]:
    """What is not there of one peer, in words; nothing when it can be used."""
    out = [f"command {command}" for command in peer.get("commands", ()) if shutil.which(command) is None]
    out += [f"file {path}" for path in peer.get("files", ()) if not Path(path).exists()]
    out += [f"npm package {_bare(package)}" for package in peer.get("npm", ()) if not _npm_folder(package).exists()]
    if peer.get("pip"):
        wanted = "\n".join(peer["pip"])
        marker = HOME / name / "installed.txt"
        if not marker.exists() or marker.read_text() != wanted:
            out.append(f"Python environment .peers/{name}")
    return out


def install() -> int:
    """Install what is missing; 1 when something still is."""
    debian: list[str] = []
    npm: list[str] = []
    for name, peer in peers().items():
        if not missing(name, peer):
            continue
        debian += peer.get("debian", ())
        npm += [package for package in peer.get("npm", ()) if not _npm_folder(package).exists()]
        if peer.get("pip"):
            _pip(name, peer["pip"])
    if debian:
        _apt(debian)
    if npm:
        HOME.mkdir(exist_ok=True)
        _run(["npm", "install", "--prefix", str(HOME / "npm"), "--no-audit", "--no-fund", "--loglevel=error", *npm])
    return doctor()


def doctor() -> int:
    """Say of each peer whether it is there; 1 when one is not."""
    worst = 0
    for name, peer in peers().items():
        lacks = missing(name, peer)
        print(f"{name:18} {'ready' if not lacks else 'missing: ' + ', '.join(lacks) + '; its tests are skipped'}")
        worst = worst or int(bool(lacks))
    return worst


def _bare(package: str) -> str:
    head, _, _ = package[1:].partition("@")
    return package[0] + head


def _npm_folder(package: str) -> Path:
    return HOME / "npm" / "node_modules" / _bare(package)


def _apt(packages: list[str]) -> None:
    admin = [] if os.geteuid() == 0 else ["sudo"]
    if shutil.which("apt-get") is None:
        print(f"no apt-get here; install by hand: {' '.join(packages)}")
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run([*admin, "apt-get", "update", "-qq"], env=environment)
    _run([*admin, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=environment)


def _pip(name: str, packages: list[str]) -> None:
    home = HOME / name
    _run([sys.executable, "-m", "venv", str(home)])
    _run([str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *packages])
    (home / "installed.txt").write_text("\n".join(packages))


def _run(command: list[str], env: dict[str, str] | None = None) -> None:
    print("$", " ".join(command), flush=True)
    subprocess.run(command, env=env, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    verbs = argparse.ArgumentParser(description=__doc__)
    verbs.add_argument("verb", choices=["install", "doctor"])
    sys.exit(install() if verbs.parse_args().verb == "install" else doctor())
