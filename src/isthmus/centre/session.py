"""A session with Spark or Sail: a process in their own environment, asked line by line (see runner.py)."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

import pyarrow as pa

from isthmus.centre import runner
from isthmus.model.errors import DeviceAway, IsthmusError, UsageError

Kind = Literal["spark", "sail"]
WHAT_IT_NEEDS: Final[Mapping[str, str]] = {
    "spark": "python3 -m venv spark; spark/bin/pip install pyspark==4.3.0 pyarrow; and Java 17",
    "sail": "python3 -m venv sail; sail/bin/pip install pysail==0.7.2 pyspark-client==4.1.3",
}
START_S: Final = 180.0
_END_S: Final = 20.0
_ENDED: Final = "its process ended"


class Session:
    """`python` is that of the engine's environment. One question at a time.

    `master` is spark://host:7077 or local[2] for Spark, sc://host:50051 for a Sail server, "" for one in
    this machine's memory. Raises UsageError when it cannot be started, and as `ask`.
    """

    def __init__(
        self, kind: Kind, python: Path, *, master: str = "", settings: Mapping[str, str] | None = None
    ) -> None:
        self._kind = kind
        self._scratch = tempfile.TemporaryDirectory(prefix="isthmus-centre-")
        self._folder, self._number = Path(self._scratch.name), 0
        self._log = self._folder / "engine.log"
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603  the administrator names the interpreter
                    [str(python), str(Path(runner.__file__))],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
                    start_new_session=True,
                )
        except OSError as error:
            self._scratch.cleanup()
            msg = f"{python} cannot be started: {error}. {kind} needs an environment of its own: {WHAT_IT_NEEDS[kind]}"
            raise UsageError(msg) from error
        try:
            self._say({"kind": kind, "master": master, "settings": dict(settings or {})}, START_S)
        except IsthmusError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session and its process."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._kill()
        if self._process.stdout:
            self._process.stdout.close()
        self._scratch.cleanup()

    def ask(
        self, sql: str, views: Mapping[str, list[str]], tables: Mapping[str, pa.Table], timeout_s: float
    ) -> pa.Table:
        """The answer to a statement over views of Parquet files and tables sent along.

        Raises DeviceAway when none comes in time, IsthmusError when the engine refuses.
        """
        self._number += 1
        folder = self._folder / str(self._number)
        folder.mkdir()
        paths = {name: folder / f"{name}.arrow" for name in (*tables, "answer")}
        for name, table in tables.items():
            with pa.OSFile(str(paths[name]), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        sent = {name: str(paths[name]) for name in tables}
        self._say({"views": views, "tables": sent, "sql": sql, "answer": str(paths["answer"])}, timeout_s)
        with pa.OSFile(str(paths["answer"]), "rb") as source:
            found = pa.ipc.open_file(source).read_all()
        for path in paths.values():
            path.unlink()
        folder.rmdir()
        return found

    def _say(self, what: Mapping[str, object], timeout_s: float) -> None:
        """Say one thing and wait for the answer to it."""
        into, outof = self._process.stdin, self._process.stdout
        if into is None or outof is None:
            raise self._away(_ENDED)
        try:
            into.write(json.dumps(what).encode() + b"\n")
            into.flush()
        except BrokenPipeError as error:
            raise self._away(_ENDED) from error
        with selectors.DefaultSelector() as waiting:
            waiting.register(outof, selectors.EVENT_READ)
            if not waiting.select(timeout_s):
                self._kill()
                late = f"no answer within {timeout_s:g} s"
                raise self._away(late)
        line = outof.readline()
        if not line:
            raise self._away(_ENDED)
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            msg = f"{self._kind} could not answer: {reply['error']}"
            raise IsthmusError(msg)

    def _kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_END_S)

    def _away(self, why: str) -> DeviceAway:
        last = "; ".join(self._log.read_text(errors="replace").strip().splitlines()[-3:])[-500:]
        return DeviceAway(f"{self._kind}: {why}. It said: {last or 'nothing'}")
