"""CreateVolume beside the array's own two calls; one after the other, and two hundred at once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from bench.processes import BareArray, array, controller
from bench.table import Figure, in_turn, ratio
from csi_solidfire.pb import csi_pb2
from lab import csi
from lab.csi import Client

_RUNS = 60
_AT_ONCE = 200
_PARALLEL = 32  # The controller's default for calls to one cluster at the same time.
_LATENCY = 0.020  # seconds
_names = itertools.count()


def figures() -> Iterator[Figure]:
    for latency in (0.0, _LATENCY):
        with array() as bare:
            account = int(bare.call("AddAccount", username="bench-bare")["accountID"])
            for there in (10, 3_980):
                _fill(bare, there)
                bare.lab("latency", seconds=latency)
                with controller(bare) as client:
                    ours, theirs = in_turn(_RUNS, _timed_create(client, bare), _timed_bare(bare, account))
                bare.lab("latency", seconds=0.0)
                name = f"CreateVolume, array with {there:,} volumes and {latency * 1000:.0f} ms a call"
                yield ratio(name, ours, theirs, "1.10 x")
    yield _many_at_once()


def _fill(bare: BareArray, wanted: int) -> None:
    """Bring the array to a number of volumes, in accounts of their own: one takes 2,000."""
    there = int(bare.call("GetVolumeCount")["count"])
    accounts = [int(bare.call("AddAccount", username=f"filler-{there}-{n}")["accountID"]) for n in range(3)]

    def add(number: int) -> None:
        bare.call("CreateVolume", name=f"filler-{number}", accountID=accounts[number % 3], totalSize=1 << 30)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(there, wanted)))


def _request(name: str) -> csi_pb2.CreateVolumeRequest:
    return csi_pb2.CreateVolumeRequest(
        name=name, capacity_range=csi_pb2.CapacityRange(required_bytes=1 << 30), volume_capabilities=[csi.mount()]
    )


def _timed_create(client: Client, bare: BareArray) -> Callable[[int], float]:
    def run(_: int) -> float:
        name = f"ours-{next(_names)}"
        began = time.perf_counter()
        made = client.controller.CreateVolume(_request(name), timeout=csi.TIMEOUT)
        seconds = time.perf_counter() - began
        bare.delete(int(made.volume.volume_id.partition(".")[2]))
        return seconds

    return run


def _timed_bare(bare: BareArray, account: int) -> Callable[[int], float]:
    def run(_: int) -> float:
        name = f"bare-{next(_names)}"
        began = time.perf_counter()
        volume_id = bare.create(name, account)
        seconds = time.perf_counter() - began
        bare.delete(volume_id)
        return seconds

    return run


def _many_at_once() -> Figure:
    with array() as bare, controller(bare, f"--threads={_AT_ONCE}") as client:
        account = int(bare.call("AddAccount", username="bench-bare")["accountID"])
        bare.lab("latency", seconds=_LATENCY)

        def ours(_: int) -> float:
            return _wall(_AT_ONCE, lambda name: client.controller.CreateVolume(_request(name), timeout=csi.TIMEOUT))

        def theirs(_: int) -> float:
            return _wall(_PARALLEL, lambda name: bare.create(name, account))

        measured = in_turn(3, ours, theirs, warm_up=1)
    name = f"{_AT_ONCE} CreateVolume at once, {_LATENCY * 1000:.0f} ms a call, {_PARALLEL} calls in parallel"
    return ratio(name, *measured, "1.20 x")


def _wall(threads: int, create: Callable[[str], object]) -> float:
    names = [f"at-once-{next(_names)}" for _ in range(_AT_ONCE)]
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(create, names))
        return time.perf_counter() - began
