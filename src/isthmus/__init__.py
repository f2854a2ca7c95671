"""Isthmus joins a factory's two worlds: the machines that make, and the business that must know."""

__version__ = "0.1.0"
