"""An OPC UA server on loopback that lets anybody read without security."""

import asyncio
import sys

from asyncua import Server


async def main(port: int) -> None:
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_server_name("Press line")
    await server.set_application_uri("urn:example:press")
    server.product_uri = "http://example.com/press"
    async with server:
        await asyncio.sleep(3600)


asyncio.run(main(int(sys.argv[1])))
