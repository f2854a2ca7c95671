"""A real Tryton on this machine, for the demo and the tests: installed, filled, started, stopped.

    cache/environment/          Tryton's own virtual environment, pinned by requirements.txt
    cache/base-<hash>.sqlite    a database with every module and a company, built once
    cache/plant-<hash>.sqlite   the same with a caller's plant, kept for the day
    folder/erp.sqlite           a copy of that, with the configuration and the log beside it

    with start(cache, folder, plant, tell=print_line) as erp:
        erp.url, erp.database, erp.key, erp.orders

Two that start at once wait for each other; what is half built is never used.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

import httpx
import msgspec

from isthmus.model.errors import ErpAway, UsageError
from isthmus.run.tryton.plant import ErpPlant

Tell = Callable[[str, float], None]
"""Told what is being done now, and the share of it that is done, 0 to 1."""

_HERE: Final = Path(__file__).parent
_REQUIREMENTS: Final = _HERE / "requirements.txt"
_SETUP: Final = _HERE / "setup_in_tryton.py"
_MODULES: Final = (
    "production_work",
    "production_routing",
    "production_work_timesheet",
    "production_split",
    "stock_supply_production",
    "purchase",
    "stock_lot",
    "quality",
)
_DATABASE: Final = "erp"
_BUILD_S: Final = 600.0
_ANSWER_S: Final = 60.0
_STOP_S: Final = 10.0
_PLANTS_KEPT: Final = 4
_WITH_DEPENDENCIES: Final = 30
"""About so many modules are activated; only the progress bar needs to know."""


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What the set-up made: the gateway's user, its REST key, and the orders by the ERP's numbers."""

    login: str
    key: str
    orders: list[dict[str, str | float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running:
    """A Tryton that answers. `key` is the REST key of the gateway's user `login`."""

    url: str
    database: str
    login: str
    key: str
    orders: list[dict[str, str | float]]
    server: Server
    """May be stopped and started again, as an ERP that is down for a while."""
    seconds: dict[str, float]
    """How long each part of getting here took: install, base, plant, start."""


def default_cache() -> Path:
    """Where Tryton is kept between runs when the caller names no folder."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "isthmus" / "tryton"


@contextlib.contextmanager
def start(
    cache: Path, folder: Path, plant: ErpPlant, *, tell: Tell, environment: Path | None = None
) -> Iterator[Running]:
    """Give a running Tryton filled with `plant`; it is stopped behind the block.

    `environment` names one that is there already. Raises UsageError where nothing can be installed,
    ErpAway when the server does not come up.
    """
    seconds: dict[str, float] = {}
    with _timed(seconds, "install"):
        home = environment or _environment(cache, tell)
    with _timed(seconds, "base"):
        base = _base(cache, home, tell)
    with _timed(seconds, "plant"):
        filled = fill(home, base, folder, plant, tell)
    with _timed(seconds, "start"):
        tell("Tryton: starting the server", 0.0)
        server = Server(home, folder, _free_port())
        server.start()
    tell("Tryton: ready", 1.0)
    try:
        yield Running(
            url=server.url,
            database=_DATABASE,
            login=filled.login,
            key=filled.key,
            orders=filled.orders,
            server=server,
            seconds=seconds,
        )
    finally:
        server.stop()


def base_database(cache: Path, tell: Tell, environment: Path | None = None) -> tuple[Path, Path]:
    """The environment and the database without a plant, made where they are missing."""
    home = environment or _environment(cache, tell)
    return home, _base(cache, home, tell)


def fill(home: Path, base: Path, folder: Path, plant: ErpPlant, tell: Tell) -> Filled:
    """Copy a database with the plant in it into `folder`; made from the base when it is not kept from today.

    Raises ErpAway with Tryton's words.
    """
    told, today = msgspec.json.encode(plant), time.strftime("%Y-%m-%d")
    name = f"plant-{hashlib.sha256(told + f'{base.name} {today}'.encode()).hexdigest()[:12]}"
    kept, answer = (base.parent / f"{name}.{end}" for end in ("sqlite", "json"))
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(base.parent, tell):
        if not kept.exists():
            tell(f"Tryton: {len(plant.products)} products, {len(plant.orders)} orders", 0.0)
            _forget_plants(base.parent)
            building = base.parent / "filling"
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir()
            shutil.copyfile(base, building / f"{_DATABASE}.sqlite")
            out = _run(home, [_SETUP, _configuration(building, port=0), _DATABASE, "plant"], given=told)
            # It holds the gateway's key.
            answer.touch(mode=0o600)
            answer.write_bytes(out.splitlines()[-1])
            (building / f"{_DATABASE}.sqlite").replace(kept)
            shutil.rmtree(building)
        shutil.copyfile(kept, folder / f"{_DATABASE}.sqlite")
        return msgspec.json.decode(answer.read_bytes(), type=Filled)


def _forget_plants(cache: Path) -> None:
    """Planned days count from the day of filling, so yesterday's plants are of no use."""
    for old in sorted(cache.glob("plant-*.sqlite"), key=lambda path: path.stat().st_mtime)[:-_PLANTS_KEPT]:
        old.unlink()
        old.with_suffix(".json").unlink(missing_ok=True)


class Server:
    """One trytond process over one folder; may be stopped and started again on the same port."""

    def __init__(self, home: Path, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._home = home
        self._folder = folder
        self._config = _configuration(folder, port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process, 0 while there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start it and wait until it answers. Raises ErpAway with the end of its log."""
        log = self._folder / "trytond.log"
        with log.open("ab") as out:
            command = [str(self._home / "bin" / "python"), str(self._home / "bin" / "trytond"), "-c", str(self._config)]
            self._process = subprocess.Popen(  # noqa: S603  our own environment
                [*command, "-d", _DATABASE], stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=_outside(self._home)
            )
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                # Without a key it refuses, which is an answer.
                if httpx.get(f"{self.url}/{_DATABASE}/rest/model/production", timeout=5).status_code:
                    return
            time.sleep(0.05)
        self.stop()
        msg = f"Tryton did not come up on {self.url} within {_ANSWER_S:.0f} s; {log} says: {_tail(log)}"
        raise ErpAway(msg)

    def stop(self) -> None:
        """Stop it and wait; a second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(_STOP_S)


def _environment(cache: Path, tell: Tell) -> Path:
    home, wanted = cache / "environment", _REQUIREMENTS.read_text()
    marker = home / "isthmus.txt"
    with _lock(cache, tell):
        if marker.exists() and marker.read_text() == wanted:
            return home
        shutil.rmtree(home, ignore_errors=True)
        tell("Tryton: making its environment", 0.0)
        _run_raw([sys.executable, "-m", "venv", str(home)])
        names = [line.partition("==")[0].lower() for line in wanted.split()]
        command = [str(home / "bin" / "pip"), "install", "--disable-pip-version-check", "--progress-bar", "off"]
        seen = 0
        for line in _lines([*command, "--no-deps", "--requirement", str(_REQUIREMENTS)]):
            found = re.match(r"Collecting ([\w.-]+)==(\S+)", line)
            if found:
                seen += 1
                tell(f"Tryton: fetching {found[1]} {found[2]}", min(1.0, seen / len(names)))
        marker.write_text(wanted)
    return home


def _base(cache: Path, home: Path, tell: Tell) -> Path:
    recipe = _REQUIREMENTS.read_bytes() + _SETUP.read_bytes() + " ".join(_MODULES).encode()
    base = cache / f"base-{hashlib.sha256(recipe).hexdigest()[:12]}.sqlite"
    with _lock(cache, tell):
        if base.exists():
            return base
        building = cache / "building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        (building / f"{_DATABASE}.sqlite").touch()
        config = _configuration(building, port=0)
        password = building / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        admin = [str(home / "bin" / "python"), str(home / "bin" / "trytond-admin"), "-c", str(config), "-d", _DATABASE]
        environment = {**_outside(home), "TRYTONPASSFILE": str(password)}
        seen: list[str] = []
        # In one go: a second one would load every module again.
        modules = ["-u", *_MODULES, "--activate-dependencies", "--email", "planner@example.org", "-p"]
        for line in _lines([*admin, "-vv", *modules], environment):
            found = re.search(r"trytond\.modules (\w+) load \w", line)
            if found and found[1] not in seen:
                seen.append(found[1])
                tell(f"Tryton: setting up {found[1]}", min(0.9, len(seen) / _WITH_DEPENDENCIES))
        tell("Tryton: company and accounts", 0.95)
        _run(home, [_SETUP, config, _DATABASE, "base"])
        (building / f"{_DATABASE}.sqlite").replace(base)
        shutil.rmtree(building)
    return base


def _configuration(folder: Path, port: int) -> Path:
    file = folder / "trytond.conf"
    file.write_text(
        f"[database]\nuri = sqlite://\npath = {folder.absolute()}\n\n[web]\nlisten = 127.0.0.1:{port}\n\n"
        "[session]\nauthentications = password\n"
    )
    return file


@contextlib.contextmanager
def _lock(cache: Path, tell: Tell) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as file:
        _take(file, tell)
        yield


def _take(file: IO[str], tell: Tell) -> None:
    deadline = time.monotonic() + _BUILD_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                msg = f"another Isthmus has been preparing Tryton for {_BUILD_S:.0f} s; end it and start again"
                raise UsageError(msg) from error
            tell("Tryton: another Isthmus is preparing it; waiting", 0.0)
            time.sleep(0.5)
        else:
            return


def _run(home: Path, arguments: list[Path | str], given: bytes = b"") -> bytes:
    return _run_raw([str(home / "bin" / "python"), *map(str, arguments)], given, _outside(home))


def _run_raw(command: list[str], given: bytes = b"", environment: dict[str, str] | None = None) -> bytes:
    done = subprocess.run(command, input=given, env=environment, capture_output=True, timeout=_BUILD_S, check=False)  # noqa: S603  our own environment
    if done.returncode:
        msg = f"Tryton could not be set up; {' '.join(command[:2])} says: {done.stderr.decode(errors='replace')[-800:]}"
        raise ErpAway(msg)
    return done.stdout


def _lines(command: list[str], environment: dict[str, str] | None = None) -> Iterator[str]:
    """What a command says, line by line as it says it. Raises ErpAway with its last words when it fails."""
    last: list[str] = []
    with subprocess.Popen(  # noqa: S603  our own environment
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101  asked for above
        for line in process.stdout:
            last = [*last[-7:], line]
            yield line
    if process.returncode:
        msg = f"Tryton could not be set up; {' '.join(command[:2])} says: {''.join(last)}"
        raise ErpAway(msg)


def _outside(home: Path) -> dict[str, str]:
    """The environment variables of a process that must not see our own packages."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, "PATH": f"{home / 'bin'}{os.pathsep}{kept.get('PATH', '')}"}


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _tail(file: Path) -> str:
    return file.read_text(errors="replace")[-400:] if file.exists() else "nothing"


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - begin, 2)
