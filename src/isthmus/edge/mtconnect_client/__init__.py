"""MTConnect for `sources/mtconnect.py`: what an agent has, what it streams, and the line to it."""
