"""The past with which the demonstration begins: days of production, sent through the site's own door.

The simulated machines live through the days in a few seconds. What their tags would have said goes to
the site as frames of an earlier epoch of the same sources, by the edge's certificate, late as an edge
that was cut off for a week would send it. Orders are left out, since the ERP knows none of them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping

import httpx
import msgspec

from isthmus.model.samples import TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_S
from isthmus.plantfile import tags_of
from isthmus.run.show.stage import Stage, Tell
from isthmus.sim.northgate import MACHINES, PATH, past_cycle_s
from isthmus.sim.northgate_tags import told
from isthmus.sim.world import Change, MachineSpec, Value, Work, World
from isthmus.wire import frame as frames
from isthmus.wire import tls
from isthmus.wire.link import CONTENT_TYPE, FRAMES, MAX_BODY, VERSION, VERSION_HEADER

_ROWS = 10_000
_STEP_NS = 10 * NS_PER_MINUTE
_HIDDEN = ("order", "product", "lot", "material_lot")

Rows = dict[tuple[str, ValueKind, str], list[tuple[int, Value]]]


def live_through(days: float, seed: int, until_ns: int) -> Iterator[tuple[MachineSpec, Rows]]:
    """What each machine's tags said over the days before `until_ns`, machine by machine."""
    start_ns = until_ns - int(days * NS_PER_DAY)
    for machine in MACHINES:
        spec = msgspec.structs.replace(machine, analogue_s=60.0, setup_s=machine.setup_s * 60, micro_stop_s=40.0)
        spec = msgspec.structs.replace(spec, breakdown_s=machine.breakdown_s * 3)
        world = World([spec], seed, start_ns)
        rows: Rows = defaultdict(list)
        for now_ns in (*range(start_ns + _STEP_NS, until_ns, _STEP_NS), until_ns):
            _keep_busy(world, spec)
            for change in world.advance(now_ns):
                _note(rows, spec, change)
        yield machine, rows


def _keep_busy(world: World, spec: MachineSpec) -> None:
    machine = world.machines[spec.name]
    if machine.work is None and not machine.queue:
        machine.load(Work(order="", product="", quantity=400, cycle_s=past_cycle_s(spec)))


def _note(rows: Rows, machine: MachineSpec, change: Change) -> None:
    if change.signal not in _HIDDEN:
        for tag, kind, unit, value in told(machine, change.signal, change.value):
            rows[tag, kind, unit].append((change.time_ns, value))


def packed(
    machine: MachineSpec, rows: Mapping[tuple[str, ValueKind, str], list[tuple[int, Value]]], epoch: int
) -> Iterator[bytes]:
    """The machine's past as frames: its dictionary, then its samples in the order of time within each kind."""
    source, tags = frames.source_id(machine.name), sorted(rows)
    infos = tuple(
        (number, TagInfo(name=f"{machine.name}/{tag}", kind=kind, unit=unit, step=kind is not ValueKind.F64))
        for number, (tag, kind, unit) in enumerate(tags)
    )
    yield frames.pack(frames.of_dictionary(source, epoch, 1, frames.Dictionary(machine.name, PATH, infos)))
    seq = 0
    for kind in ValueKind:
        merged = sorted(
            (time_ns, number, value)
            for number, key in enumerate(tags)
            if key[1] is kind
            for time_ns, value in rows[key]
        )
        for begin in range(0, len(merged), _ROWS):
            times, numbers, values = zip(*merged[begin : begin + _ROWS], strict=True)
            seq += 1
            batch = columns(kind, numbers, times, [0] * len(times), list(values))
            yield frames.pack(frames.of_samples(source, epoch, seq, batch))


def send(stage: Stage, days: float, seed: int, tell: Tell) -> int:
    """Make the past and send it to the site; the rows sent. Raises httpx.HTTPError when the site does not take it."""
    if not days:
        return 0
    until_ns = stage.start_ns - 5 * NS_PER_S
    sent, began = 0, time.monotonic()
    known = {f"{source.name}/{tag.name}" for source in stage.file.sources for tag in tags_of(source)}
    with httpx.Client(
        verify=tls.client_context(stage.file.edge.data / "tls"),
        trust_env=False,
        timeout=60,
        base_url=stage.file.edge.site,
    ) as client:
        for machine, lived in live_through(days, seed, until_ns):
            rows = {key: told_ for key, told_ in lived.items() if f"{machine.name}/{key[0]}" in known}
            sent += sum(map(len, rows.values()))
            body: list[bytes] = []
            for frame in packed(machine, rows, epoch=until_ns - int(days * NS_PER_DAY)):
                if sum(map(len, body)) + len(frame) > MAX_BODY:
                    _post(client, body)
                    body = []
                body.append(frame)
            _post(client, body)
    tell(f"the past {days:g} days: {sent:,} samples sent late in {time.monotonic() - began:.0f} s; the figures follow")
    return sent


def _post(client: httpx.Client, body: list[bytes]) -> None:
    headers = {"content-type": CONTENT_TYPE, VERSION_HEADER: VERSION}
    client.post(FRAMES, content=b"".join(body), headers=headers).raise_for_status()
