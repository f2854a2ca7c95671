"""A Siemens S7 server on loopback, which answers system status lists; runs in the peer's own Python."""

import sys
import time

from snap7.server import Server  # type: ignore[import-not-found]  # only the peer's own Python has it

server = Server()
server.start(tcp_port=int(sys.argv[1]))
while True:
    time.sleep(60)
