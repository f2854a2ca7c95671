"""A Modbus/TCP server on loopback; takes the same orders on its standard input as libmodbus/server.c.

Runs in the peer's own Python. Unit 1 takes the orders, unit 2 holds zeros, and all others stay silent.
"""

import asyncio
import sys
import warnings

from pymodbus import ModbusDeviceIdentification
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTcpServer

warnings.simplefilter("ignore")
TABLES = {"coil": "co", "discrete": "di", "holding": "hr", "input": "ir"}


async def main(port: int) -> None:
    sessions = 0

    def connected(up: bool) -> None:  # noqa: FBT001  pymodbus calls it so
        nonlocal sessions
        sessions += 1 if up else -1

    blocks, other = (
        {table: ModbusSequentialDataBlock(1, [0] * 4000) for table in ("co", "di", "hr", "ir")} for _ in range(2)
    )
    identity = ModbusDeviceIdentification(
        info_name={
            "VendorName": "Northgate Instruments",
            "ProductCode": "NI-7",
            "MajorMinorRevision": "3.16.1",
            "VendorUrl": "https://northgate.example",
            "ProductName": "Energy meter",
            "ModelName": "NI-7 three-phase",
            "UserApplicationName": "press line",
        }
    )
    server = ModbusTcpServer(
        ModbusServerContext(
            devices={1: ModbusDeviceContext(**blocks), 2: ModbusDeviceContext(**other)}, single=False
        ),
        identity=identity,
        address=("127.0.0.1", port),
        ignore_missing_devices=True,
        trace_connect=connected,
    )
    await server.serve_forever(background=True)
    print(f"READY {port}", flush=True)  # noqa: T201  its tongue
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        if line[0] == "sessions":
            print(sessions, flush=True)  # noqa: T201
            continue
        blocks[TABLES[line[0]]].setValues(int(line[1]) + 1, [int(line[2])])
        print("done", flush=True)  # noqa: T201


asyncio.run(main(int(sys.argv[1])))
