"""Runs the simulated plant: the machines here, one process for each controller in front of them.

async with SimulatedPlant(controllers, seed=7, folder=folder) as plant:
plant.freeze("press-1"); plant.kill("cnc-01"); plant.start("cnc-01", shuffle=3)
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Self

import msgspec

from isthmus.sim.bus import DROP, MUTE, Bus
from isthmus.sim.faults import Faults
from isthmus.sim.world import Change, MachineSpec, Value, World

STEP_S = 0.02
_SHORTEST_STEP_S = 0.005


class Controller(msgspec.Struct, frozen=True, kw_only=True):
    """A machine and the protocol server that stands for its controller."""

    machine: MachineSpec
    server: str
    """Module of sim/servers: opcua, modbus, mtconnect."""
    port: int
    options: tuple[str, ...] = ()


class SimulatedPlant:
    """Machines, bus and controllers. Time is the wall clock's; what machines do takes a `speed`-th of its time."""

    def __init__(self, controllers: Sequence[Controller], *, seed: int, folder: Path, speed: float = 1.0) -> None:
        self.controllers = {controller.machine.name: controller for controller in controllers}
        self.faults = Faults()
        self.world = World([controller.machine for controller in controllers], seed, time.time_ns(), speed)
        self._step_s = max(STEP_S / speed, _SHORTEST_STEP_S)
        self._folder = folder
        self._home = Path(tempfile.mkdtemp(prefix="isthmus-"))  # a socket's path may have 107 bytes at most
        self._bus = Bus(self._home / "bus", lambda machine: self.world.machines[machine].values, time.time_ns)
        self._processes: dict[str, Popen[bytes]] = {}
        self._clock: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._bus.__aenter__()
        self._clock = asyncio.create_task(self._run())
        for name in self.controllers:
            self.start(name)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._clock is not None:
            self._clock.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._clock
        await self._bus.__aexit__()
        for name in tuple(self._processes):
            self.kill(name)
        for left in self._home.iterdir():
            left.unlink()
        self._home.rmdir()

    async def listening(self, deadline_s: float = 120.0) -> None:
        """Return when every controller accepts connections. Raises TimeoutError naming those that do not."""
        waiting = dict(self.controllers)
        end = time.monotonic() + deadline_s
        while waiting:
            waiting = {name: each for name, each in waiting.items() if not _accepts(each.port)}
            if waiting and time.monotonic() > end:
                msg = f"no simulated controller on loopback for {', '.join(waiting)}; see {self._folder}"
                raise TimeoutError(msg)
            await asyncio.sleep(0.05)

    def start(self, name: str, *, shuffle: int = 0) -> None:
        """Start a controller; with `shuffle` its address space comes up with other node ids."""
        controller = self.controllers[name]
        command = [sys.executable, "-m", f"isthmus.sim.servers.{controller.server}", "--bus", str(self._home / "bus")]
        command += ["--machine", name, "--port", str(controller.port), *controller.options]
        if shuffle:
            command += ["--shuffle", str(shuffle)]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = Popen(command, stdin=DEVNULL, stdout=log, stderr=log)  # noqa: S603  our own module

    def kill(self, name: str) -> None:
        """The controller loses power: SIGKILL."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.kill()
            with contextlib.suppress(TimeoutExpired):
                process.wait(5)

    def freeze(self, name: str) -> None:
        """The controller hangs: it neither answers nor closes anything."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """The controller goes on where it hung."""
        self._processes[name].send_signal(signal.SIGCONT)

    def drop(self, name: str) -> None:
        """Every connection to the controller is cut at once; it listens on."""
        self._bus.publish([Change(name, DROP, time.time_ns(), value=True)])

    def mute(self, name: str) -> None:
        """The controller answers and keeps its connections alive, and its values stand still."""
        self._bus.publish([Change(name, MUTE, time.time_ns(), value=True)])

    def unmute(self, name: str) -> None:
        """Its values are what is so again."""
        self._bus.publish([Change(name, MUTE, time.time_ns(), value=False)])

    def lie(self, name: str, signal: str, value: Value) -> None:
        """A signal says `value` from now on, whatever is so."""
        self.faults.lie(name, signal, value)
        self._tell(name, signal)

    def drift(self, name: str, signal: str, per_hour: float) -> None:
        """A signal moves away from the truth from now on."""
        self.faults.drift(name, signal, per_hour, time.time_ns())

    def tell_truth(self, name: str, signal: str) -> None:
        """A signal says what is so again."""
        self.faults.tell_truth(name, signal)
        self._tell(name, signal)

    def _tell(self, name: str, signal: str) -> None:
        """Say once what a signal is now, as the controller tells it."""
        change = Change(name, signal, time.time_ns(), self.world.machines[name].values[signal])
        self._bus.publish(self.faults.bend([change]))

    async def _run(self) -> None:
        while True:
            self._bus.publish(self.faults.bend(self.world.advance(time.time_ns())))
            await asyncio.sleep(self._step_s)


def _accepts(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(0.2)
        return sock.connect_ex(("127.0.0.1", port)) == 0
