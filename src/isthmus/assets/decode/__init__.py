"""Bytes of a capture in, what they say out; one file per protocol."""
