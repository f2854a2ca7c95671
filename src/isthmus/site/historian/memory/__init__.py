"""Samples in memory: columns side by side, the head, the newest of each tag."""
