"""The historians of others, each as its own process on loopback: Debian's InfluxDB, VictoriaMetrics and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import psycopg

from isthmus.model.samples import ValueKind
from reference.history import KIND_OF, KINDS, History, text_of

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_START_S: Final = 30.0
_POSTGRES: Final = Path("/usr/lib/postgresql/15/bin")


class Peer(Protocol):
    """One of them: `payload` is made before the clock runs, `write` returns when it acknowledged."""

    name: str
    durability: str

    def payload(self, history: History, first: int, last: int) -> bytes: ...
    def write(self, payload: bytes) -> None: ...
    def cpu_s(self) -> float: ...
    def disk_bytes(self) -> int: ...
    def stop(self) -> None: ...


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of its children, ended ones included."""
    total = 0.0
    for each in [pid, *_children(pid)]:
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        total += sum(map(int, fields[11:15])) / _TICKS
    return total


def _children(pid: int) -> list[int]:
    direct = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return direct + [below for each in direct for below in _children(each)]


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _await(url: str) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _line_protocol(history: History, first: int, last: int, *, only_numbers: bool) -> bytes:
    lines = []
    tags, times = history.tag[first:last].tolist(), history.time_ms[first:last].tolist()
    values, status = history.value[first:last].tolist(), history.status[first:last].tolist()
    for tag, at, value, code in zip(tags, times, values, status, strict=True):
        kind = KINDS[KIND_OF[tag]]
        if only_numbers:
            if kind is not ValueKind.STR:
                lines.append(f"s,t={tag} v={value!r} {at}000000")
        elif kind is ValueKind.STR:
            lines.append(f's,t={tag} s="{text_of(value)}",q={code}i {at}000000')
        else:
            lines.append(f"s,t={tag} v={value!r},q={code}i {at}000000")
    return "\n".join(lines).encode()


class _Http:
    """What InfluxDB and VictoriaMetrics share."""

    def __init__(self, command: Sequence[str], folder: Path, port: int, write: str) -> None:
        self.folder, self.url = folder, f"http://127.0.0.1:{port}"
        self._write = self.url + write
        log = (folder / "log").open("wb")
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        _await(self.url + "/ping")

    def write(self, payload: bytes) -> None:
        request = urllib.request.Request(self._write, payload, method="POST")
        urllib.request.urlopen(request, timeout=60).close()

    def get(self, path: str, **parameters: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=120) as reply:
            return bytes(reply.read())

    def cpu_s(self) -> float:
        return cpu_of(self._process.pid)

    def disk_bytes(self) -> int:
        return folder_bytes(self.folder)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self.folder)


class InfluxDb(_Http):
    """InfluxDB 1.6 of Debian 12: value and status as two fields."""

    name = "InfluxDB 1.6"
    durability = "fsync before the acknowledgement (wal-fsync-delay 0)"

    def __init__(self) -> None:
        folder, port, other = Path(tempfile.mkdtemp(prefix="bench-influx-")), free_port(), free_port()
        (folder / "conf").write_text(
            f'bind-address = "127.0.0.1:{other}"\nreporting-disabled = true\n'
            f'[meta]\ndir = "{folder}/meta"\n'
            f'[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\nwal-fsync-delay = "0s"\n'
            f'max-series-per-database = 0\n[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n'
            "max-row-limit = 0\n[monitor]\nstore-enabled = false\n"
        )
        super().__init__(["influxd", "-config", str(folder / "conf")], folder, port, "/write?db=b&precision=ns")
        body = urllib.parse.urlencode({"q": "CREATE DATABASE b"}).encode()
        urllib.request.urlopen(f"{self.url}/query", body, timeout=30).close()

    def payload(self, history: History, first: int, last: int) -> bytes:
        return _line_protocol(history, first, last, only_numbers=False)


class VictoriaMetrics(_Http):
    """VictoriaMetrics 1.79 of Debian 12: numbers alone; it keeps neither status nor texts."""

    name = "VictoriaMetrics 1.79"
    durability = "none at the acknowledgement: what came in the last seconds is in memory"

    def __init__(self) -> None:
        folder, port = Path(tempfile.mkdtemp(prefix="bench-victoria-")), free_port()
        command = ["victoria-metrics", f"-storageDataPath={folder / 'data'}", f"-httpListenAddr=127.0.0.1:{port}"]
        super().__init__([*command, "-retentionPeriod=100y"], folder, port, "/write")

    def payload(self, history: History, first: int, last: int) -> bytes:
        return _line_protocol(history, first, last, only_numbers=True)


class PostgreSql:
    """PostgreSQL 15 of Debian 12: one table, an index on (tag, ts), binary COPY."""

    name = "PostgreSQL 15"
    durability = "fsync before the acknowledgement"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
        shutil.chown(self._folder, "postgres")
        data, port = self._folder / "data", free_port()
        self._as = {"user": "postgres"} if os.geteuid() == 0 else {}
        subprocess.run(
            [_POSTGRES / "initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--no-instructions"],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **self._as,  # type: ignore[call-overload]
        )
        options = ["-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=512MB"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [_POSTGRES / "postgres", "-D", data, *options, "-c", "max_wal_size=4GB"],
                stdout=log,
                stderr=log,
                cwd="/",
                **self._as,  # type: ignore[call-overload]
            )
        self.db = self._connect(port)
        self.db.execute("CREATE TABLE s (tag int4, ts int8, v float8, q int8, s text)")
        self.db.execute("CREATE INDEX ON s (tag, ts)")

    def _connect(self, port: int) -> psycopg.Connection:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                return psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", autocommit=True)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def payload(self, history: History, first: int, last: int) -> bytes:
        tag = history.tag[first:last]
        text = KIND_OF[tag] == KINDS.index(ValueKind.STR)
        rows = np.flatnonzero(~text)
        wide = np.dtype(
            [
                ("n", ">i2"),
                ("l1", ">i4"),
                ("tag", ">i4"),
                ("l2", ">i4"),
                ("ts", ">i8"),
                ("l3", ">i4"),
                ("v", ">f8"),
                ("l4", ">i4"),
                ("q", ">i8"),
                ("l5", ">i4"),
            ]
        )
        out = np.zeros(len(rows), wide)
        out["n"], out["l1"], out["l2"], out["l3"], out["l4"], out["l5"] = 5, 4, 8, 8, 8, -1
        out["tag"], out["ts"] = tag[rows], history.time_ms[first:last][rows]
        out["v"], out["q"] = history.value[first:last][rows], history.status[first:last][rows]
        parts = [b"PGCOPY\n\xff\r\n\0" + bytes(8), out.tobytes()]
        for row in (np.flatnonzero(text) + first).tolist():
            word = text_of(float(history.value[row])).encode()
            ints = int(history.tag[row]), int(history.time_ms[row]), int(history.status[row])
            parts.append(struct.pack(">hiiiqiiqi", 5, 4, ints[0], 8, ints[1], -1, 8, ints[2], len(word)) + word)
        return b"".join([*parts, b"\xff\xff"])

    def write(self, payload: bytes) -> None:
        with self.db.cursor() as cursor, cursor.copy("COPY s FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(payload)

    def cpu_s(self) -> float:
        return cpu_of(self._process.pid)

    def disk_bytes(self) -> int:
        row = self.db.execute("SELECT pg_total_relation_size('s')").fetchone()
        assert row is not None
        return int(row[0])

    def stop(self) -> None:
        self.db.close()
        self._process.terminate()
        self._process.wait(60)
        shutil.rmtree(self._folder)
