"""No verb of the audit but `identify --send` puts a packet on a network, its PDF included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

VERBS = """
import sys
from isthmus.cli import main
for words in (
    "import list.csv", "list", "show Q", "findings", "accept Q --reason seen", "export a.csv", "export a.cdx.json",
    "report a.html", "report a.pdf", "identify plant.toml", "identify plant.toml --dry-run",
):
    main(["audit", *words.split()])
"""
PLANT = """
[plant]
name = "A"
path = "a/b"
[[zone]]
name = "control"
kind = "control"
networks = ["10.0.0.0/8"]
[[identify]]
address = "10.0.0.2"
protocol = "modbus"
approved_by = "anna"
begins = 2026-01-01T00:00:00Z
ends = 2026-01-02T00:00:00Z
"""
ALONE = ("unshare", "--map-root-user", "--net", "sh", "-c")
EVERYTHING_HERE = "ip link set lo up && ip route add default dev lo && ip -6 route add default dev lo; "


@pytest.mark.peer("chromium")
def test_no_verb_puts_a_packet_on_the_network(tmp_path: Path) -> None:
    """In a network of its own, in which every address is reached through one interface that counts."""
    (tmp_path / "list.csv").write_text("name,address,maker,model\nQ,10.0.0.2,Siemens,S7-1500\n")
    (tmp_path / "plant.toml").write_text(PLANT)
    (tmp_path / "verbs.py").write_text(VERBS)
    if subprocess.run((*ALONE, "true"), capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a network of its own")
    script = f"{EVERYTHING_HERE} {sys.executable} verbs.py >told 2>&1; grep lo: /proc/net/dev"
    done = subprocess.run((*ALONE, script), cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
    counted = done.stdout.partition("lo:")[2].split()
    assert (tmp_path / "a.pdf").stat().st_size > 1000, (tmp_path / "told").read_text()
    assert "0 of 1 may be asked now. Nothing was sent" in (tmp_path / "told").read_text()
    assert counted[9] == "0", f"{counted[9]} packets were sent"
