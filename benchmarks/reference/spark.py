"""A Spark standalone cluster on loopback: one master and workers, each a process that a test may kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent
SPARK = ROOT / ".peers" / "spark"
SAIL = ROOT / ".peers" / "sail"
UP_S = 120.0
SMALL = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.executor.memory": "1g",
    "spark.cores.max": "2",
    "spark.executor.cores": "1",
    "spark.sql.shuffle.partitions": "8",
    # Little data would be put into one task, and one worker would stand idle.
    "spark.sql.adaptive.enabled": "false",
}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(there: Callable[[], Any], what: str, seconds: float = UP_S) -> Any:  # noqa: ANN401  whatever is found
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := there():
                return found
        except OSError:
            pass
        time.sleep(0.1)
    message = f"{what} was not there within {seconds:g} s"
    raise TimeoutError(message)


class SparkCluster:
    """Up when made; `kill_worker` takes one away, leaving the context all of them."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self._folder, self._port, self._pages = folder, free_port(), free_port()
        self.master = f"spark://127.0.0.1:{self._port}"
        self._processes: list[subprocess.Popen[bytes]] = []
        name = "org.apache.spark.deploy.master.Master"
        self._start(name, "--host", "127.0.0.1", "--port", str(self._port), "--webui-port", str(self._pages))
        until(lambda: self.state()["status"] == "ALIVE", "Spark's master")
        for number in range(workers):
            self._worker(number)
        until(lambda: self.alive() == workers, "the workers")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._pages}/json/", timeout=5) as page:
            found: dict[str, Any] = json.load(page)
        return found

    def alive(self) -> int:
        return sum(each["state"] == "ALIVE" for each in self.state()["workers"])

    def tasks(self) -> tuple[int, int]:
        """How many tasks the last worker's executors began and how many they ended, as their own logs say."""
        begun = ended = 0
        for log in (self._folder / f"worker{len(self._processes) - 2}").glob("*/*/stderr"):
            text = log.read_text(errors="replace")
            begun += text.count("Running task")
            ended += text.count("Finished task")
        return begun, ended

    def kill_worker(self) -> None:
        """The last worker and what it runs, at once, as when a machine loses its power."""
        os.killpg(self._processes[-1].pid, signal.SIGKILL)
        self._processes[-1].wait(20)

    def _worker(self, number: int) -> None:
        work = self._folder / f"worker{number}"
        name = "org.apache.spark.deploy.worker.Worker"
        self._start(name, "--host", "127.0.0.1", "--webui-port", str(free_port()), "--cores", "1", "--memory", "1g", "--work-dir", str(work), self.master)  # fmt: skip

    def _start(self, *command: str) -> None:
        home = next((SPARK / "lib").glob("python*/site-packages/pyspark"))
        # Without the version the wheel's workers look for a source tree and start nothing.
        setting = {"SPARK_HOME": str(home), "SPARK_SCALA_VERSION": "2.13", "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "512m"}  # fmt: skip
        log = (self._folder / f"{len(self._processes)}.log").open("wb")
        self._processes.append(
            subprocess.Popen(
                ["nice", "-n", "5", str(home / "bin" / "spark-class"), *command],
                env={**os.environ, **setting},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        )
        log.close()
