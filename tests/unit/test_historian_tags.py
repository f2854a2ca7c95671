"""Tags and their numbers, also where there are very many."""

from __future__ import annotations

import time
from pathlib import Path

from isthmus.model.samples import TagInfo, ValueKind
from isthmus.site.historian.asking.sql import script
from isthmus.site.historian.store import Store

MANY = 20_000


def test_macros_of_very_many_tags_are_written_in_a_moment(tmp_path: Path) -> None:
    with Store(tmp_path, background=False) as store:
        store.tags.intern_all([TagInfo(name=f"line-{n // 100}/t{n}", kind=ValueKind.F64) for n in range(MANY)])
    began = time.process_time()
    text = script(tmp_path, 0)
    assert time.process_time() - began < 8
    assert f"line-{(MANY - 1) // 100}/t{MANY - 1}" in text


def test_a_name_that_changes_keeps_its_former_numbers_also_after_a_restart(tmp_path: Path) -> None:
    kinds = [ValueKind.F64, ValueKind.I64, ValueKind.STR]
    with Store(tmp_path, background=False) as store:
        numbers = [store.tags.intern(TagInfo(name="press/force", kind=kind)) for kind in kinds]
        store.tags.intern(TagInfo(name="press/other", kind=ValueKind.F64))
        for _ in range(2):
            assert [each.id for each in store.tags.versions("press/force")] == numbers
            assert [each.id for each in store.tags.former()] == numbers[:-1]
            store.tags.reload()
    with Store(tmp_path, background=False) as store:
        assert [(each.id, each.info.kind) for each in store.tags.versions("press/force")] == list(
            zip(numbers, kinds, strict=True)
        )
        assert store.tags.versions("press") == []
        assert [each.valid_to_ns is None for each in store.tags.versions("press/force")] == [False, False, True]
