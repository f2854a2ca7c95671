"""What every page is given: the site, the accounts, and what time it is."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from isthmus.model.plant import Machine
from isthmus.site.site import Site
from isthmus.web.accounts import Accounts
from isthmus.web.config import WebSection
from isthmus.web.words import Clock


class House(NamedTuple):
    """The one hand that holds what pages read."""

    site: Site
    section: WebSection
    accounts: Accounts
    clock: Callable[[], int]
    """Now, ns since 1970 UTC."""
    local: Clock
    """Writes moments in the plant's time."""
    saying: Lock
    """Held while a person's fact is numbered and logged."""

    def below(self, path: str) -> str:
        """A machine's path below the plant's, as addresses and API answers write it."""
        return path.removeprefix(self.site.plant.path + "/")

    def machine(self, below: str) -> Machine | None:
        """The machine of a path below the plant's, or None."""
        return self.site.plant.machines.get(f"{self.site.plant.path}/{below.strip('/')}")
