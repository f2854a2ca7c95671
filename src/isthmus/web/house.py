"""What every page is given: the site, the accounts, and what time it is."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from isthmus.model.plant import Machine
from isthmus.site.site import Site
from isthmus.web.accounts import Accounts
from isthmus.web.config import WebSection
from isthmus.web.words import Clock


class House:
    """The one hand that holds what pages read."""

    def __init__(self, site: Site, section: WebSection, accounts: Accounts, clock: Callable[[], int]) -> None:
        self.site = site
        self.section = section
        self.accounts = accounts
        self.clock = clock
        """Now, ns since 1970 UTC."""
        self.local = Clock(site.plant.zone)
        """Writes moments in the plant's time."""
        self.saying = Lock()
        """Held while a person's fact is numbered and logged."""

    def below(self, path: str) -> str:
        """A machine's path below the plant's, as addresses and API answers write it."""
        return path.removeprefix(self.site.plant.path + "/")

    def machine(self, below: str) -> Machine | None:
        """The machine of a path below the plant's, or None."""
        return self.site.plant.machines.get(f"{self.site.plant.path}/{below.strip('/')}")
