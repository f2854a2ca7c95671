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


@pytest.mark.long
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


@pytest.mark.usefixtures("device")
def test_what_edge_and_site_keep_is_readable_by_their_user_alone(running: Running) -> None:
    before = os.umask(0o022)
    try:
        (running.folder / "site").mkdir(mode=0o755)  # as an earlier version made it
        running.start()
        until(running.reads)
        until((running.folder / "site" / "history").is_dir)
        places = [running.folder / part for part in ("edge", "site", "web")]
        found = [path for place in places for path in (place, *place.rglob("*"))]
        assert len(found) > 20
        assert [(str(path), oct(path.stat().st_mode)) for path in found if path.stat().st_mode & 0o077] == []
        assert running.end() == 0
    finally:
        os.umask(before)


@pytest.mark.usefixtures("device")
def test_no_process_outlives_the_one_that_kept_it_running(running: Running) -> None:
    running.start()
    until(running.reads)
    children = children_of(running)
    assert len(children) == 2
    assert running.process is not None
    running.process.kill()
    running.process.wait(10)
    until(lambda: not any(alive(child) for child in children), 30)
    assert running.edge() == {}


def alive(process: int) -> bool:
    """Whether it runs; one that ended and nobody asked after is a zombie and does not."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2][:4]
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(running: Running) -> list[int]:
    assert running.process is not None
    listed = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text()
    return [int(each) for each in listed.split()]
