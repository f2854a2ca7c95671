"""A door in a process of its own, for tests that kill it: folder, url, user, key. Ends when all is told."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from erp_support import PLANT, OneSite
from isthmus.enterprise.door import Door
from isthmus.enterprise.erps.tryton import TrytonSection

_OPEN = "SELECT 1 FROM outbox_items WHERE gone = 0 AND state IN ('pending', 'sending', 'unknown')"


def main() -> None:
    folder, url, user, key = sys.argv[1:]
    site = OneSite(Path(folder))
    section = TrytonSection(url=url, database="erp", user=user, key=key, retry_s=0.02, retry_most_s=0.02)
    door = Door(site, section.open(PLANT), section)
    door.start()
    while site.views.query(_OPEN) or not site.views.query("SELECT 1 FROM outbox_items"):
        time.sleep(0.1)
    door.stop()
    site.close()


if __name__ == "__main__":
    main()
