"""What an item costs a cluster's coordinator: `python -m benchmarks.dask_cost --help`.

The workers are instant ones in this process, so all time is the coordinator's: the journal, the
leases and the messages; with `--pickled`, these go through Dask's pickling and back, too.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from distributed.protocol import dumps, loads, to_serialize

from domo_files_async import bulk
from domo_files_async.bulk.carry import Flight, Made
from domo_files_async.bulk.options import Options
from domo_files_async.dask.crew import Crew, working
from domo_files_async.dask.desk import deliver
from domo_files_async.dask.leases import Leases
from domo_files_async.dask.places import Places
from domo_files_async.dask.shares import Shares
from domo_files_async.dask.words import Loaded, Sent, State, Told
from domo_files_async.emulator import Emulator
from domo_files_async.events import RequestFinished

FLIGHT = Flight(name="x", size=10, sha256="0" * 64, fingerprint="1", target=None)
EVENT = RequestFinished(
    operation="upload_file",
    method="POST",
    path="/api/data/v1/data-files",
    attempt=1,
    status=200,
    size=10,
    elapsed=0.1,
)
PLACES = 100_000


class InstantWorkers:
    """Answers as a cluster's client does, with workers that send nothing."""

    def __init__(self, count, *, pickled):
        self.scheduler = self
        self._addresses = {f"tcp://{number}": {} for number in range(count)}
        self._errands = defaultdict(asyncio.Queue)
        self._made = 0
        self._pickled = pickled

    async def identity(self, n_workers):  # noqa: ARG002 - as a scheduler's is called
        return {"workers": self._addresses}

    async def run(self, what, name, word, *, workers):  # noqa: ARG002 - as a client's
        (address,) = workers
        answer = self._answer(address, self._through(word)) if what is deliver else None
        return {address: self._through(answer or await self._told(address, word))}

    def _through(self, word):
        return loads(dumps({"word": to_serialize(word)}))["word"] if self._pickled else word

    def _answer(self, address, mail):
        errands = self._errands[address]
        for order in mail.orders:
            errands.put_nowait(Loaded(order.number, FLIGHT))
        for number in mail.go:
            self._made += 1
            made = Made(
                data_file_id=self._made, revision_id=1, size=10, sha256="0" * 64, attempts=1
            )
            errands.put_nowait(Sent(number, made))
        return State(address, time.monotonic(), mail.share)

    async def _told(self, address, patience):
        errands, told = self._errands[address], []
        try:
            told.append(await asyncio.wait_for(errands.get(), patience))
            while not errands.empty():
                told.append(errands.get_nowait())
        except TimeoutError:
            pass
        events = tuple(EVENT for one in told if isinstance(one, Sent))
        return Told(address, time.monotonic(), tuple(told), events)


async def cost(count, folder, given):
    """Give seconds an item of a run of so many: of the processor, and of the clock."""
    items = (
        bulk.Item(source=f"/nowhere/{number}", name=f"{number}", size=10, fingerprint="1")
        for number in range(count)
    )
    workers = InstantWorkers(given.workers, pickled=given.pickled)
    crew = Crew(workers, "x", budget=given.budget, rate=None, lease=30, lease_bytes=2**28)
    async with (
        Emulator() as emulator,
        emulator.session("ada") as domo,
        bulk.Job(Path(folder) / f"{count}.sqlite") as job,
    ):
        await job.add(items)
        began, done = time.process_time(), 0
        at = time.perf_counter()
        async with working(crew, job.park):
            async for outcome in job.run_with(domo, Options(concurrency=given.budget), crew):
                assert outcome.status == "uploaded"
                done += 1
        assert done == count
        return (time.process_time() - began) / count, (time.perf_counter() - at) / count


async def cost_of_places(workers, budget):
    """Give seconds that it takes to place an item and to take it back, with all places taken."""
    leases, shares = Leases(seconds=1e9, max_bytes=2**28), Shares(budget)
    places = Places(leases)
    for number in range(workers):
        leases.join(f"{number}", 0)
        shares.join(f"{number}")
    for number in range(workers):
        places.set_share(f"{number}", shares.offer(f"{number}"), 1)
    waiting = [asyncio.ensure_future(places.take(one, 10, 1)) for one in range(PLACES)]
    await asyncio.sleep(0)
    began = time.process_time()
    for number, turn in enumerate(waiting):
        places.give_back(number, await turn, 1)
    return (time.process_time() - began) / PLACES


def main():
    """Print a line for each count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("counts", type=int, nargs="*", default=[1000])
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--budget", type=int, default=256)
    parser.add_argument("--pickled", action="store_true", help="as if they were elsewhere")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for count in given.counts:
            cpu, wall = asyncio.run(cost(count, folder, given))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            sys.stdout.write(
                f"{count:>9,} items: {cpu * 1e6:.0f} us CPU, {wall * 1e6:.0f} us an item; "
                f"peak {peak:.0f} MiB\n"
            )
    each = asyncio.run(cost_of_places(given.workers, given.budget))
    sys.stdout.write(f"{given.workers:,} workers: {each * 1e6:.1f} us to place an item\n")


if __name__ == "__main__":
    main()
