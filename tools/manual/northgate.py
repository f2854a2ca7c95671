"""examples/plants/northgate.toml: the plant file that the demonstration writes for itself, at fixed addresses."""

from __future__ import annotations

import hashlib

from isthmus.sim.northgate import MACHINES
from isthmus.sim.northgate_file import Addresses, Place, plant_text

_FIRST_PORT = 4841
_ADDRESSES = Addresses(
    folder="var/northgate",
    edge_dials="127.0.0.1:8700",
    site="127.0.0.1:8700",
    web="127.0.0.1:8600",
    status="127.0.0.1:8710",
    erp='[erp]\nkind = "tryton"\nurl = "http://127.0.0.1:8000"\ndatabase = "erp"\nuser = "isthmus"\n'
    'key = "env:ISTHMUS_ERP_KEY"\npoll_s = 2.0\n',
)


def page() -> str:
    """The file, with made-up ports and fingerprints that stay the same."""
    places = {
        machine.name: Place(
            port=_FIRST_PORT + number,
            fingerprint=hashlib.sha256(machine.name.encode()).hexdigest() if machine.protocol == "opcua" else "",
        )
        for number, machine in enumerate(MACHINES)
    }
    return plant_text(places, _ADDRESSES)
