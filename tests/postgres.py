"""A PostgreSQL of the tests' own on loopback, as an ordinary user, in a folder that goes away with them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
_USER: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}


class Cluster:
    """One server; `database` gives an empty database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = int(sock.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        command = [str(_PROGRAMS / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-E", "UTF8", "-N"]
        subprocess.run(
            [*command, "--no-instructions", "-U", "isthmus"], check=True, stdout=subprocess.DEVNULL, cwd="/", **_USER
        )

    def start(self) -> None:
        """Start it, where it does not run."""
        if self._process is not None:
            return
        options = ["-p", str(self.port), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_PROGRAMS / "postgres", "-D", self.folder / "data", *options], stdout=log, stderr=log, cwd="/", **_USER
            )
        self.run("SELECT 1")

    def stop(self) -> None:
        """At once, as when its machine is switched off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
            self._process = None

    def sleep(self) -> None:
        """Its processes stand still and keep every connection open."""
        self._tell(signal.SIGSTOP)

    def wake(self) -> None:
        self._tell(signal.SIGCONT)

    def run(self, sql: str, within_s: float = 20) -> None:
        import psycopg  # noqa: PLC0415  an extra

        until = time.monotonic() + within_s
        while True:
            try:
                with psycopg.connect(self.address("postgres"), autocommit=True) as db:
                    db.execute(sql.encode())
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return

    def database(self) -> str:
        """The address of an empty database: one for all tests, since each is a thousand files; one test at a time."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
        )
        self.run("DROP SCHEMA IF EXISTS isthmus CASCADE")
        return self.address("postgres")

    def address(self, name: str) -> str:
        return f"postgresql://isthmus@127.0.0.1:{self.port}/{name}"

    def _tell(self, what: signal.Signals) -> None:
        if self._process is None:
            return
        parent = self._process.pid
        children = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False).stdout
        for number in (parent, *(int(number) for number in children.split())):
            with suppress(ProcessLookupError):  # a connection's process ended in between
                os.kill(number, what)


@contextmanager
def private_cluster() -> Iterator[Cluster]:
    # Not in pytest's folder: below that nobody but its owner may look.
    place = Path(tempfile.mkdtemp(prefix="isthmus-postgres-"))
    if _USER:
        shutil.chown(place, "postgres")
    made = Cluster(place)
    made.start()
    try:
        yield made
    finally:
        made.wake()
        made.stop()
        shutil.rmtree(place, ignore_errors=True)
