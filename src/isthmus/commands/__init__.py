"""One file per verb of the command line, found by itself; see isthmus/cli.py."""
