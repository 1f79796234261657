"""What a soak uploads, and what it measures meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pathlib
import random
import statistics
import sys
import threading
import time
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import psutil

from domo_files_async import (
    DeveloperToken,
    DomoFilesError,
    DomoFilesSession,
    OutcomeUnknownError,
    RetryPolicy,
    TransferConfig,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SHARE = 0.05
LANES = 16
REVISIONS = 100
LARGEST = 2048
AGAIN = 20
"""Times that somebody tries a file that failed; what failed is not there."""

SAMPLES = 200
PART = 1024 * 1024
PATIENT = RetryPolicy(max_attempts=8, initial_backoff=0.01, max_backoff=0.2, budget=100_000)
HERE = pathlib.Path(__file__)


@attrs.define
class Server:
    """Another process with an emulator in it; `said` is what it had at the end."""

    url: str
    credential: str
    said: dict[str, Any] = attrs.field(factory=dict)

    def session(self, **transfer: Any) -> DomoFilesSession:
        return DomoFilesSession(
            self.url,
            auth=DeveloperToken(self.credential),
            retry=PATIENT,
            transfer=TransferConfig(**transfer),
        )


@asynccontextmanager
async def served(seed: int, folder: pathlib.Path | None = None) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE.with_name("server.py")),
        str(seed),
        str(SHARE),
        *([] if folder is None else [str(folder)]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[2])},
        limit=1 << 30,
    )
    try:
        server = Server(*json.loads(await process.stdout.readline()))
        yield server
        process.stdin.close()
        server.said = json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class Levels:
    """Memory, open files, threads and tasks of this process, again and again."""

    def __init__(self) -> None:
        self.samples: list[dict[str, int]] = []

    def take(self) -> None:
        me = psutil.Process()
        self.samples.append(
            {
                "memory": me.memory_info().rss,
                "files": me.num_fds(),
                "threads": threading.active_count(),
                "tasks": len(asyncio.all_tasks()),
            }
        )

    def growth(self, what: str) -> float:
        """Compare the last quarter with the second: by then all is warm."""
        values = [sample[what] for sample in self.samples]
        quarter = max(1, len(values) // 4)
        return statistics.median(values[-quarter:]) - statistics.median(
            values[quarter : 2 * quarter]
        )


@attrs.define
class Account:
    """What came of all uploads.

    Attributes:
        sent: Digests that must be there, by the data file's name, in their order.
        unknown: Digests that may be there, by name.
        ends: How often each way of ending was met.
    """

    sent: dict[str, list[str]] = attrs.field(factory=dict)
    unknown: dict[str, list[str]] = attrs.field(factory=dict)
    ends: Counter[str] = attrs.field(factory=Counter)


async def upload_many(server: Server, uploads: int, seed: int, levels: Levels) -> Account:
    """Upload small files and many revisions of each, in lanes beside each other."""
    account = Account()
    names = iter(range(-(-uploads // REVISIONS)))
    every = max(1, uploads // SAMPLES)

    async def lane(domo: DomoFilesSession) -> None:
        for number in names:
            chance = random.Random(f"{seed} {number}")  # noqa: S311 - no secret
            name, file_id = "", None
            for revision in range(min(REVISIONS, uploads - number * REVISIONS)):
                if file_id is None:
                    # Of one whose outcome isn't known nobody makes a second one.
                    name = f"{number}-{revision}.bin"
                    account.sent[name] = []
                data = chance.randbytes(chance.randrange(LARGEST))
                file_id = await _upload(domo, account, name, data, file_id)
                if sum(account.ends.values()) % every == 0:
                    levels.take()

    async with server.session() as domo:
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(lane(domo))
    return account


async def _upload(
    domo: DomoFilesSession, account: Account, name: str, data: bytes, file_id: int | None
) -> int | None:
    digest = hashlib.sha256(data).hexdigest()
    for _ in range(AGAIN):
        try:
            made = await domo.upload(data, name=name, data_file_id=file_id)
        except OutcomeUnknownError:
            account.ends["unknown"] += 1
            account.unknown.setdefault(name, []).append(digest)
            return file_id
        except DomoFilesError as error:
            account.ends[f"failed, and tried again: {type(error).__name__}"] += 1
        else:
            account.ends["done"] += 1
            account.sent[name].append(digest)
            return made.data_file_id
    raise AssertionError(f"{name} can't be uploaded")


def make_file(path: pathlib.Path, size: int) -> str:
    """Make a sparse file that differs in each MiB; give its digest."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        file.truncate(size)
        for start in range(0, size, PART):
            block = bytearray(min(PART, size - start))
            stamp = start.to_bytes(8, "big")[: len(block)]
            block[: len(stamp)] = stamp
            file.seek(start)
            file.write(stamp)
            digest.update(block)
    return digest.hexdigest()


async def upload_large(
    server: Server, path: pathlib.Path, size: int, seconds: float, levels: Levels
) -> dict[str, Any]:
    """Upload one file at a rate that makes it take about as long as that."""
    began = time.monotonic()
    retried = 0

    def observe(event: object) -> None:
        nonlocal retried
        retried += type(event).__name__ == "PartRetried"

    async with server.session(max_upload_bytes_per_second=size / seconds) as domo:
        sampling = asyncio.create_task(_sample(levels, seconds / SAMPLES))
        with domo.observing(observe):
            made = await domo.upload(path, part_size=PART, verify="sha256")
        sampling.cancel()
    return {
        "parts": made.parts,
        "retried": retried,
        "sha256": made.sha256,
        "seconds": time.monotonic() - began,
    }


async def _sample(levels: Levels, every: float) -> None:
    while True:
        levels.take()
        await asyncio.sleep(every)


def compare(account: Account, there: dict[str, list[str]]) -> Counter[str]:
    """Count what is lost, what is there twice, and what became of the unknown ones."""
    found: Counter[str] = Counter()
    for name, digests in account.sent.items():
        has = Counter(there.pop(name, []))
        must = Counter(digests)
        may = Counter(account.unknown.get(name, []))
        found["lost"] += (must - has).total()
        found["twice"] += (has - must - may).total()
        found["unknown, and there"] += ((has - must) & may).total()
        found["right"] += (must & has).total()
    found["twice"] += sum(map(len, there.values()))
    return found
