"""What waits in a buffer can be carried by hand: the same bytes, each row once, with an answer back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from counting import PLANT, Taker, until
from sites import Edge, Place, make_place, make_run, make_soon  # noqa: F401  fixtures
from test_link import Run, feed
from test_process import isthmus

from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.model.query import Raw
from isthmus.plantfile import load
from isthmus.run.carry import carry_back, carry_in, carry_out
from isthmus.run.site import open_site


def test_rows_go_by_stick_once_even_when_the_link_brings_them_again(place: Place, run: Run, tmp_path: Path) -> None:
    stick = tmp_path / "stick"

    async def story() -> None:
        folder = place.enrolled()
        async with Edge(folder, place.url) as edge:
            await feed(edge, 30)
            await asyncio.to_thread(edge.buffer.flush)
            carried = await asyncio.to_thread(carry_out, folder / "buffer", stick)
            assert carried.rows >= 3000
            await asyncio.to_thread(carry_in, stick, lambda body: place.taker.take("by hand", body))
            assert place.taker.values["line"] == list(range(3000))
            waiting = edge.buffer.waiting
            await asyncio.to_thread(carry_back, stick, folder / "buffer")
            await asyncio.to_thread(edge.buffer._look_after)
            assert edge.buffer.waiting < waiting / 2
            await feed(edge, 5, 3000)
            async with place.listening():
                await until(lambda: len(place.taker.values["line"]) >= 3500)
            assert place.taker.values["line"] == list(range(3500))

    run(story())


def test_a_damaged_file_is_named_and_nothing_of_it_is_taken(place: Place, tmp_path: Path) -> None:
    (tmp_path / "1-2.frames").write_bytes(b"ISF1 rubbish")
    with pytest.raises(StoreDamaged, match=r"1-2\.frames is damaged"):
        carry_in(tmp_path, lambda body: place.taker.take("by hand", body))
    assert place.taker.bodies == 0


def test_an_empty_stick_and_a_wrong_machine_are_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.frames files"):
        carry_in(tmp_path, lambda body: Taker().take("x", body))
    with pytest.raises(UsageError, match="is this the machine of the edge"):
        carry_out(tmp_path / "nowhere", tmp_path)
    with pytest.raises(UsageError, match="carry in"):
        carry_back(tmp_path, tmp_path)


@pytest.mark.long
def test_a_real_site_takes_a_stick_by_one_command_running_or_stopped(place: Place, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plant.toml"
    file.write_text(
        f'[plant]\nname = "N"\npath = "{PLANT}"\n[edge]\nsite = "{place.url}"\ndata = "{tmp_path}/line-1"\n'
        f'[site]\ndata = "{tmp_path}/real"\nlisten = "127.0.0.1:{place.port}"\n'
    )

    async def story() -> None:
        folder = place.enrolled()
        async with Edge(folder, place.url) as edge:
            for round_, stopped in enumerate((True, False)):
                await feed(edge, 10, round_ * 1000)
                await asyncio.to_thread(edge.buffer.flush)
                stick = str(tmp_path / f"stick{round_}")
                out = await asyncio.to_thread(isthmus, "carry", "out", stick, "--file", str(file))
                assert out.returncode == 0, out
                if stopped:
                    done = await asyncio.to_thread(isthmus, "carry", "in", stick, "--file", str(file))
                else:
                    async with open_site(load(file)):
                        done = await asyncio.to_thread(isthmus, "carry", "in", stick, "--file", str(file))
                assert done.returncode == 0, done
                back = await asyncio.to_thread(isthmus, "carry", "back", stick, "--file", str(file))
                assert back.returncode == 0, back
        async with open_site(load(file)) as site:
            tag = site.tags.find("line/count")
            assert tag is not None
            kept = site.historian.query(Raw(), [tag], 0, 2**62)
            values = np.sort(kept.column("i64").to_numpy())
            assert values.tolist() == list(range(2000))

    run(story())
