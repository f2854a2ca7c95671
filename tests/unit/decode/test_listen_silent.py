"""Whoever listens at a mirror port is told when the system itself may speak there."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALONE = ("unshare", "--map-root-user", "--net", "sh", "-c")
MAKE = (
    "ip link add tap0 type veth peer name tap1; sysctl -qw net.ipv6.conf.all.disable_ipv6=1; "
    "ip link set tap0 up; ip link set tap1 up; "
)
ASK = 'from isthmus.edge.listen import may_send; print(may_send("tap0") or "silent"); print(may_send("lo") or "silent")'


@pytest.mark.parametrize(
    ("given", "told"),
    [("", "silent"), ("ip address add 10.9.8.7/24 dev tap0; ", "tap0 has the address 10.9.8.7, so this system itself")],
)
def test_an_interface_with_an_address_is_told_with_the_mend(given: str, told: str) -> None:
    if subprocess.run((*ALONE, MAKE), capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a network of its own")
    script = f"{MAKE}{given}{sys.executable} -c '{ASK}'"
    done = subprocess.run((*ALONE, script), capture_output=True, text=True, timeout=30, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith(told)
    assert second == "silent"
