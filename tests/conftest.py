"""What all tests share: markers for peers and reference data, and free ports."""

from __future__ import annotations

import gc
import importlib.util
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from postgres import Cluster, private_cluster

# A busy machine must not fail a law: time is bounded by the test's own timeout. The suite draws the same
# examples each time, so that one commit has one verdict; `make test-long` searches among new ones.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "search", parent=hypothesis.settings.get_profile("house"), max_examples=600, derandomize=False, print_blob=True
)
hypothesis.settings.load_profile("house")

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ISTHMUS_DATA", ROOT.parent / "shared" / "data"))

_spec = importlib.util.spec_from_file_location("peers", ROOT / "tools" / "peers.py")
assert _spec is not None
assert _spec.loader is not None
peers = importlib.util.module_from_spec(_spec)
sys.modules["peers"] = peers
_spec.loader.exec_module(peers)


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over what is there to stay: thousands of tests and every library."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Give back to the collector what was passed over; libraries complain of what is left at the end."""
    gc.unfreeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip with a reason what needs a peer or data that is not here; with ISTHMUS_PEERS=required, fail."""
    for marker in item.iter_markers("peer"):
        known = peers.peers()
        name = marker.args[0]
        lacks = peers.missing(name, known[name]) if name in known else [f"peers/{name}.toml"]
        if lacks:
            reason = f"peer {name} lacks {', '.join(lacks)}; run `make peers`"
            if os.environ.get("ISTHMUS_PEERS") == "required":
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
    for marker in item.iter_markers("data"):
        if not (DATA / marker.args[0]).is_dir():
            pytest.skip(f"the reference data {marker.args[0]} is not here; set ISTHMUS_DATA to its folder")


@pytest.fixture
def data() -> Path:
    """The folder of reference data; tests that use it carry the `data` marker."""
    return DATA


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives ports of loopback that nobody listens on."""

    def pick() -> int:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            return int(sock.getsockname()[1])

    return pick


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One private PostgreSQL for all tests that ask for it; they carry the peer's marker."""
    with private_cluster() as made:
        yield made
