"""`isthmus run`: edge and site on one machine, started, enrolled, watched and ended by one command."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import pytest
from small_plant import Running, make_device, make_running, until  # noqa: F401  fixtures


@pytest.mark.usefixtures("device")
@pytest.mark.timeout(150)
def test_one_command_enrols_reads_keeps_running_and_ends_in_order(running: Running) -> None:
    running.start()
    until(running.reads)
    until(lambda: "make the first administrator" in running.said())
    assert f"run: pages at http://127.0.0.1:{running.pages}" in running.said()
    assert f"status page at http://127.0.0.1:{running.status}/" in running.said()
    key = (running.folder / "edge" / "tls" / "own.key").read_bytes()

    for process in children_of(running):
        os.kill(process, signal.SIGKILL)
    until(lambda: running.said().count("was killed by signal 9 after") == 2)
    until(running.reads)

    assert running.end() == 0
    assert running.said().rstrip().endswith("run: the edge has ended\nrun: the site has ended")
    running.start()
    until(running.reads)
    assert (running.folder / "edge" / "tls" / "own.key").read_bytes() == key, "enrolled once, at the first start"
    assert "the edge is enrolled" not in running.said()
    assert running.end() == 0


def test_a_process_that_keeps_failing_is_told_with_its_last_words_and_the_other_lives(running: Running) -> None:
    with socket.create_server(("127.0.0.1", running.pages)):
        running.start()
        until(lambda: re.search(r"the site ended with 2 after .* 2 times in a row", running.said()))
        assert f"[web] listen = '127.0.0.1:{running.pages}': Address already in use" in running.said()
        assert "the edge ended with" not in running.said()
    assert running.end() == 0


def test_an_edge_that_dials_elsewhere_is_not_run_beside_this_site(running: Running) -> None:
    text = running.file.read_text().replace(f"https://127.0.0.1:{running.link}", "https://10.0.0.9:1")
    running.file.write_text(text)
    running.start()
    assert running.process is not None
    assert running.process.wait(30) == 2
    assert "is not where [site] listen" in running.said()


def children_of(running: Running) -> list[int]:
    assert running.process is not None
    listed = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text()
    return [int(each) for each in listed.split()]
