"""Asks the TwinCAT station of an address for its net id, as pyads does, and writes it."""

import sys

import pyads  # type: ignore[import-not-found]  # it lives in its own environment

sys.stdout.write(pyads.ads.adsGetNetIdForPLC(sys.argv[1]))
