"""Modbus/TCP for `sources/modbus.py`: telegrams, one connection, blocks, and registers to columns."""
