"""Asks a device who it is, by read-only requests from a compiled-in list; off until a person approves each address."""
