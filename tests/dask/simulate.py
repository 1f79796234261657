"""What an item costs the coordinator: `python tests/dask/simulate.py 1000 10000 100000`.

The workers are instant ones in this process, so all time is the coordinator's: the journal, the
leases and the messages, without Dask's own.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from domo_files_async import bulk
from domo_files_async.bulk.carry import Flight, Made
from domo_files_async.bulk.run import Options
from domo_files_async.dask.crew import Crew, working
from domo_files_async.dask.desk import deliver
from domo_files_async.dask.words import Loaded, Sent, State
from domo_files_async.emulator import Emulator

WORKERS, BUDGET = 32, 256
FLIGHT = Flight(name="x", size=10, sha256="0" * 64, fingerprint="1", target=None)


class InstantWorkers:
    """Answers as a cluster's client does, with workers that send nothing."""

    def __init__(self):
        self.scheduler = self
        self._errands = defaultdict(asyncio.Queue)
        self._made = 0

    async def identity(self, n_workers):  # noqa: ARG002 - as a scheduler's is called
        return {"workers": {f"tcp://{number}": {} for number in range(WORKERS)}}

    async def run(self, what, name, word, *, workers):  # noqa: ARG002 - as a client's
        (address,) = workers
        errands = self._errands[address]
        if what is deliver:
            for order in word.orders:
                errands.put_nowait(Loaded(order.number, FLIGHT))
            for number in word.go:
                self._made += 1
                made = Made(
                    data_file_id=self._made, revision_id=1, size=10, sha256="0" * 64, attempts=1
                )
                errands.put_nowait(Sent(number, made))
            return {address: State(word.share)}
        told = []
        try:
            told.append(await asyncio.wait_for(errands.get(), word))
            while not errands.empty():
                told.append(errands.get_nowait())
        except TimeoutError:
            pass
        return {address: told}


async def cost(count, folder):
    """Give seconds an item of a run of so many."""
    items = [
        bulk.Item(source=f"/nowhere/{number}", name=f"{number}", size=10, fingerprint="1")
        for number in range(count)
    ]
    crew = Crew(InstantWorkers(), "x", budget=BUDGET, rate=None, lease=30, lease_bytes=2**28)
    async with (
        Emulator() as emulator,
        emulator.session("ada") as domo,
        bulk.Job(Path(folder) / f"{count}.sqlite") as job,
    ):
        await job.add(items)
        del items
        began, done = time.process_time(), 0
        at = time.perf_counter()
        async with working(crew):
            async for outcome in job.run_with(domo, Options(concurrency=BUDGET), crew):
                assert outcome.status == "uploaded"
                done += 1
        assert done == count
        return (time.process_time() - began) / count, (time.perf_counter() - at) / count


def main(counts):
    """Print a line for each count."""
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            cpu, wall = asyncio.run(cost(count, folder))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            sys.stdout.write(
                f"{count:>8,} items: {cpu * 1e6:.0f} us CPU, {wall * 1e6:.0f} us an item; "
                f"peak {peak:.0f} MiB\n"
            )


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1000])
