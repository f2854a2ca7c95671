"""The OT side: reads devices, keeps what it read on disk, dials out. It listens on nothing but loopback."""
