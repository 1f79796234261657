"""Many small files of a folder, each by one request with form data."""

from __future__ import annotations

import asyncio
import pathlib
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.jobs import Job, Work

AT_ONCE = 32
BASE = "/domo/data-files/v1"
TYPE = "application/octet-stream"


def files(job: Job) -> list[pathlib.Path]:
    return sorted(pathlib.Path(job.path).iterdir())


@asynccontextmanager
async def ours(job: Job) -> AsyncIterator[Work]:
    """One `upload` for each file, all at once: the session keeps the bounds."""
    from domo_files_async import AppSession, DomoFilesSession

    async with DomoFilesSession(job.url, auth=AppSession("x")) as domo:

        async def work() -> None:
            await asyncio.gather(*(domo.upload(path) for path in files(job)))

        yield work


@asynccontextmanager
async def aiohttp(job: Job) -> AsyncIterator[Work]:
    """The plain way, with aiohttp's writer of form data."""
    import aiofiles
    from aiohttp import ClientSession, FormData

    async with ClientSession(job.url) as session:
        gate = asyncio.Semaphore(AT_ONCE)

        async def send(path: pathlib.Path) -> None:
            async with gate:
                async with aiofiles.open(path, "rb") as file:
                    data = await file.read()
                form = FormData()
                form.add_field("file", data, filename=path.name, content_type=TYPE)
                params = {"name": path.name, "public": "false"}
                async with session.post(BASE, params=params, data=form) as reply:
                    reply.raise_for_status()
                    await reply.json()

        async def work() -> None:
            await asyncio.gather(*(send(path) for path in files(job)))

        yield work


@asynccontextmanager
async def httpx(job: Job) -> AsyncIterator[Work]:
    """The same on httpx."""
    import aiofiles
    from httpx import AsyncClient, Limits

    limits = Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with AsyncClient(base_url=job.url, limits=limits, timeout=300) as client:
        gate = asyncio.Semaphore(AT_ONCE)

        async def send(path: pathlib.Path) -> None:
            async with gate:
                async with aiofiles.open(path, "rb") as file:
                    data = await file.read()
                params = {"name": path.name, "public": "false"}
                form = {"file": (path.name, data, TYPE)}
                reply = await client.post(BASE, params=params, files=form)
                reply.raise_for_status()
                reply.json()

        async def work() -> None:
            await asyncio.gather(*(send(path) for path in files(job)))

        yield work


@asynccontextmanager
async def requests(job: Job) -> AsyncIterator[Work]:
    """Threads, each with a session of its own."""
    from requests import Session

    mine = threading.local()

    def send(path: pathlib.Path) -> None:
        if not hasattr(mine, "session"):
            mine.session = Session()
        params = {"name": path.name, "public": "false"}
        form = {"file": (path.name, path.read_bytes(), TYPE)}
        reply = mine.session.post(job.url + BASE, params=params, files=form)
        reply.raise_for_status()
        reply.json()

    def send_all() -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(send, files(job)):
                pass

    async def work() -> None:
        await asyncio.to_thread(send_all)

    yield work
