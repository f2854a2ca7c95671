"""A BACnet/IP device on loopback; runs in the peer's own Python."""

import asyncio
import sys

from bacpypes3.app import Application  # type: ignore[import-not-found]  # as in the snap7 peer
from bacpypes3.local.device import DeviceObject  # type: ignore[import-not-found]  # as in the snap7 peer
from bacpypes3.local.networkport import NetworkPortObject  # type: ignore[import-not-found]  # as in the snap7 peer


async def main(port: int) -> None:
    device = DeviceObject(
        objectIdentifier=("device", 4711),
        objectName="Chiller 2",
        vendorIdentifier=999,
        vendorName="Northgate Instruments",
        modelName="NB-20",
        firmwareRevision="5.1.7",
        applicationSoftwareVersion="chiller-3",
        maxApduLengthAccepted=1024,
        segmentationSupported="noSegmentation",
    )
    network = NetworkPortObject(f"127.0.0.1/32:{port}", objectIdentifier=("network-port", 1), objectName="port")
    Application.from_object_list([device, network])
    await asyncio.sleep(3600)


asyncio.run(main(int(sys.argv[1])))
