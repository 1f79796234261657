"""What only we are asked: memory, the cost of parts and chunks, fairness."""

from __future__ import annotations

import asyncio
import pathlib
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.contestants.upload import trusted
from benchmarks.jobs import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.jobs import Job, Work
    from domo_files_async import DomoFilesSession

CHUNK = bytes(256 * 1024)
SMALL = bytes(10 * 1024)
SPACING = 0.05
MOST_SMALL = 60


@asynccontextmanager
async def _session(job: Job) -> AsyncIterator[DomoFilesSession]:
    from domo_files_async import DeveloperToken, DomoFilesSession, TransferConfig

    config = TransferConfig(**job.options.get("config", {}))
    async with DomoFilesSession(
        job.url, auth=DeveloperToken("x"), transfer=config, ssl=trusted(job)
    ) as domo:
        yield domo


async def _stream(size: int, chunk: bytes = CHUNK) -> AsyncIterator[bytes]:
    for _ in range(size // len(chunk)):
        yield chunk
    if size % len(chunk):
        yield chunk[: size % len(chunk)]


@asynccontextmanager
async def uploads(job: Job) -> AsyncIterator[Work]:
    """Upload the same path, or a stream of *bytes* bytes, some times at once."""
    async with _session(job) as domo:
        size = job.options.get("bytes")
        part_size = job.options.get("part_size")

        async def upload() -> None:
            if size is None:
                await domo.upload(job.path, part_size=part_size)
            else:
                await domo.upload(_stream(size), name="stream")

        async def work() -> None:
            await asyncio.gather(*(upload() for _ in range(job.options.get("at_once", 1))))

        yield work


@asynccontextmanager
async def parts(job: Job) -> AsyncIterator[Work]:
    """Upload a path some times, one after another, once everything is warm."""
    async with _session(job) as domo:
        for _ in range(max(1, job.options["times"] // 10)):
            await domo.upload(job.path, part_size=job.part_size)

        async def work() -> None:
            for _ in range(job.options["times"]):
                await domo.upload(job.path, part_size=job.part_size)

        yield work


@asynccontextmanager
async def chunks(job: Job) -> AsyncIterator[Work]:
    """Upload an async iterator that gives its bytes in chunks of one size."""
    async with _session(job) as domo:
        await domo.upload(_stream(MIB), name="warm")
        chunk = bytes(job.options["chunk"])

        async def work() -> None:
            await domo.upload(_stream(job.options["bytes"], chunk), name="stream")

        yield work


@asynccontextmanager
async def beside(job: Job) -> AsyncIterator[Work]:
    """Upload small bytes now and then: first alone, then beside a large file."""
    async with _session(job) as domo:

        async def small() -> float:
            began = time.perf_counter()
            await domo.upload(SMALL, name="small")
            return time.perf_counter() - began

        async def work() -> dict[str, Any]:
            lonely: list[float] = []
            accompanied: list[float] = []
            for _ in range(MOST_SMALL):
                await asyncio.sleep(SPACING)
                lonely.append(await small())
            large = asyncio.create_task(domo.upload(job.path))
            await asyncio.sleep(SPACING)
            while len(accompanied) < MOST_SMALL:
                await asyncio.sleep(SPACING)
                taken = await small()
                if large.done():
                    break
                accompanied.append(taken)
            began = time.perf_counter()
            await large
            more = {
                "lonely": lonely,
                "accompanied": accompanied,
                "went on": time.perf_counter() - began,
                "bytes": pathlib.Path(job.path).stat().st_size,
            }
            return {"more": more}

        yield work
