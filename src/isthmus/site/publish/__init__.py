"""Publishes what the site has on its disk to a bus of the plant."""
