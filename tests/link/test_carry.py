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
from isthmus.run.carry import Trust, carry_back, carry_in, carry_out
from isthmus.run.site import open_site
from isthmus.site.intake.certificates import Certificates
from isthmus.site.intake.speakers import Speakers


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


def test_a_site_believes_a_stick_only_as_far_as_the_seal_of_the_sources_own_edge(
    place: Place, run: Run, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"

    def trust(**sources: str) -> Trust:
        return Trust(stick, place.certificates, Speakers(sources, place.certificates.members, "n"))

    def take_in(found: Trust) -> None:
        carry_in(stick, lambda body: place.taker.take("by hand", body), found, place.certificates.folder)

    async def story() -> None:
        folder = place.enrolled()
        async with Edge(folder, place.url) as edge:
            await feed(edge, 30)
            await asyncio.to_thread(edge.buffer.flush)
            carry_out(folder / "buffer", stick, folder / "tls")
            file = next(stick.glob("*.frames"))
            whole = file.read_bytes()
            file.write_bytes(
                whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :]
            )
            with pytest.raises((UsageError, StoreDamaged), match=r"changed|damaged"):
                take_in(trust(line="line-1"))
            file.write_bytes(whole)
            (stick / "9-1.frames").write_bytes(whole)
            with pytest.raises(UsageError, match=r"9-1\.frames bears no edge's seal.*--unsealed"):
                take_in(trust(line="line-1"))
            (stick / "9-1.frames").unlink()
            with pytest.raises(UsageError, match="of the edge line-2"):
                take_in(trust(line="line-2"))
            assert place.taker.bodies == 0
            take_in(trust(line="line-1"))
            assert place.taker.values["line"] == list(range(3000))
            forged = tmp_path / "forged"
            forged.mkdir()
            (forged / "acknowledged.json").write_bytes((stick / "acknowledged.json").read_bytes())
            with pytest.raises(UsageError, match="no seal of this plant's site"):
                carry_back(forged, folder / "buffer", folder / "tls")
            assert carry_back(stick, folder / "buffer", folder / "tls") == 2
            seal = stick / "line-1.seal"
            said = seal.read_text()
            seal.write_text(said.replace("line-1", "line-9"))
            with pytest.raises(UsageError, match=r"line-1\.seal does not hold"):
                trust(line="line-1")
            seal.write_text(said)
            place.certificates.remove("line-1")
            with pytest.raises(UsageError, match="line-1 is not enrolled here"):
                trust(line="line-1")

    run(story())


@pytest.mark.long
def test_a_real_site_takes_a_stick_by_one_command_running_or_stopped(place: Place, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plant.toml"
    file.write_text(
        f'[plant]\nname = "N"\npath = "{PLANT}"\n[edge]\nsite = "{place.url}"\ndata = "{tmp_path}/line-1"\n'
        f'[site]\ndata = "{tmp_path}/real"\nlisten = "127.0.0.1:{place.port}"\n'
    )

    place.certificates = Certificates(tmp_path / "real" / "tls", PLANT)

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
