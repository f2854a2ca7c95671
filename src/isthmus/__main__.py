"""`python -m isthmus` is the same command as `isthmus`."""

from isthmus.cli import main

raise SystemExit(main())
