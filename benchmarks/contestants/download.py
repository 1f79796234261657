"""One large file to the disk, compared with the SHA-256 that the server tells."""

from __future__ import annotations

import asyncio
import hashlib
import pathlib
import resource
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.contestants.upload import HEADERS, trusted

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from benchmarks.jobs import Job, Work
    from domo_files_async.openssl import OpenSSLContext

FILE = "/api/data/v1/data-files/401"
CHUNK = 64 * 1024


def ours(job: Job) -> AbstractAsyncContextManager[Work]:
    """With the standard library's TLS."""
    return _ours(job, trusted(job))


def pyopenssl(job: Job) -> AbstractAsyncContextManager[Work]:
    """With the extra's TLS."""
    from domo_files_async.openssl import OpenSSLContext

    return _ours(job, OpenSSLContext(job.certificates))


@asynccontextmanager
async def _ours(job: Job, tls: ssl.SSLContext | OpenSSLContext | None) -> AsyncIterator[Work]:
    from domo_files_async import DeveloperToken, DomoFilesSession

    async with DomoFilesSession(job.url, auth=DeveloperToken("x"), ssl=tls) as domo:

        async def work() -> None:
            await domo.download(401, job.path)

        yield work


@asynccontextmanager
async def aiohttp(job: Job) -> AsyncIterator[Work]:
    """What people write: chunks of 64 KiB, each awaited into aiofiles."""
    import aiofiles
    from aiohttp import ClientSession, TCPConnector

    connector = TCPConnector(ssl=trusted(job) or True)
    async with ClientSession(job.url, headers=HEADERS, connector=connector) as session:

        async def work() -> None:
            async with session.get(f"{FILE}/details") as reply:
                said = (await reply.json())["currentRevision"]["sha256HashValue"]
            digest = hashlib.sha256()
            async with session.get(FILE) as reply, aiofiles.open(job.path, "wb") as file:
                async for chunk in reply.content.iter_chunked(CHUNK):
                    digest.update(chunk)
                    await file.write(chunk)
            assert digest.hexdigest() == said

        yield work


@asynccontextmanager
async def httpx(job: Job) -> AsyncIterator[Work]:
    """The same on httpx."""
    import aiofiles
    from httpx import AsyncClient

    async with AsyncClient(
        base_url=job.url, headers=HEADERS, verify=trusted(job) or True, timeout=300
    ) as client:

        async def work() -> None:
            details = (await client.get(f"{FILE}/details")).json()
            digest = hashlib.sha256()
            async with client.stream("GET", FILE) as reply, aiofiles.open(job.path, "wb") as file:
                async for chunk in reply.aiter_bytes(CHUNK):
                    digest.update(chunk)
                    await file.write(chunk)
            assert digest.hexdigest() == details["currentRevision"]["sha256HashValue"]

        yield work


@asynccontextmanager
async def requests(job: Job) -> AsyncIterator[Work]:
    """One stream in a thread beside the ticker."""
    from requests import Session

    session = Session()
    session.headers.update(HEADERS)
    session.verify = job.certificates or True

    def receive() -> None:
        details = session.get(f"{job.url}{FILE}/details").json()
        digest = hashlib.sha256()
        with (
            session.get(job.url + FILE, stream=True) as reply,
            pathlib.Path(job.path).open("wb") as file,
        ):
            for chunk in reply.iter_content(CHUNK):
                digest.update(chunk)
                file.write(chunk)
        assert digest.hexdigest() == details["currentRevision"]["sha256HashValue"]

    async def work() -> None:
        await asyncio.to_thread(receive)

    with session:
        yield work


@asynccontextmanager
async def curl(job: Job) -> AsyncIterator[Work]:
    """Curl, then sha256sum."""
    trust = ["--cacert", job.certificates] if job.certificates else []

    async def call(*command: str) -> str:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out.decode()

    async def work() -> dict[str, Any]:
        details = await call("curl", "-sSf", *trust, f"{job.url}{FILE}/details")
        await call("curl", "-sSf", *trust, "-o", job.path, job.url + FILE)
        digest = (await call("sha256sum", job.path)).split()[0]
        assert digest in details
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime
        return {"cpu": cpu, "whole_cpu": cpu, "memory": used.ru_maxrss * 1024}

    yield work
