"""One large file in parts, each with its SHA-256."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import pathlib
import ssl
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from benchmarks.jobs import Job, Work
    from domo_files_async.openssl import OpenSSLContext

AT_ONCE = 8
HEADERS = {"X-DOMO-Developer-Token": "x"}
MULTIPART = "/api/data/v1/data-files/multipart"
OPENING = {"name": "x", "contentType": "application/octet-stream"}


def trusted(job: Job) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=job.certificates) if job.certificates else None


def offsets(job: Job) -> list[tuple[int, int]]:
    """Give index and offset of each part."""
    count = math.ceil(pathlib.Path(job.path).stat().st_size / job.part_size)
    return [(index, (index - 1) * job.part_size) for index in range(1, count + 1)]


def ours(job: Job) -> AbstractAsyncContextManager[Work]:
    """With the standard library's TLS."""
    return _ours(job, trusted(job))


def pyopenssl(job: Job) -> AbstractAsyncContextManager[Work]:
    """With the extra's TLS."""
    from domo_files_async.openssl import OpenSSLContext

    return _ours(job, OpenSSLContext(job.certificates))


@asynccontextmanager
async def _ours(job: Job, tls: ssl.SSLContext | OpenSSLContext | None) -> AsyncIterator[Work]:
    from domo_files_async import DeveloperToken, DomoFilesSession, TransferConfig

    config = TransferConfig(**job.options.get("config", {}))
    async with DomoFilesSession(
        job.url, auth=DeveloperToken("x"), transfer=config, ssl=tls
    ) as domo:

        async def work() -> None:
            await domo.upload(job.path, part_size=job.part_size)

        yield work


@asynccontextmanager
async def native(job: Job) -> AsyncIterator[Work]:
    """The client in C, as another process beside this one's ticker."""
    assert job.client is not None
    port = job.url.rpartition(":")[2]
    threads = str(job.options.get("threads", 4))
    command = [job.client, port, job.path, str(job.part_size), threads]
    process = await asyncio.create_subprocess_exec(
        *command,
        *([job.certificates] if job.certificates else []),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    await asyncio.sleep(0.05)  # it starts; what is measured begins with a line to it

    async def work() -> dict[str, Any]:
        out, _ = await process.communicate(b"\n")
        figures: dict[str, Any] = json.loads(out)
        return {**figures, "whole_cpu": figures["cpu"]}

    yield work


@asynccontextmanager
async def aiohttp(job: Job) -> AsyncIterator[Work]:
    """What people write: aiohttp, aiofiles, gather behind a semaphore."""
    import aiofiles
    from aiohttp import ClientSession, TCPConnector

    connector = TCPConnector(ssl=trusted(job) or True)
    async with ClientSession(job.url, headers=HEADERS, connector=connector) as session:

        async def work() -> None:
            async with session.post(MULTIPART, json=OPENING) as reply:
                session_id = (await reply.json())["sessionId"]
            at_once = asyncio.Semaphore(AT_ONCE)

            async def send(index: int, offset: int) -> None:
                async with at_once:
                    async with aiofiles.open(job.path, "rb") as file:
                        await file.seek(offset)
                        data = await file.read(job.part_size)
                    checksum = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
                    url = f"{MULTIPART}/{session_id}/part/{index}?checksum={checksum}"
                    async with session.put(url, data=data) as reply:
                        reply.raise_for_status()
                        await reply.read()

            await asyncio.gather(*(send(index, offset) for index, offset in offsets(job)))
            async with session.post(f"{MULTIPART}/{session_id}/commit") as reply:
                await reply.json()

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
            session_id = (await client.post(MULTIPART, json=OPENING)).json()["sessionId"]
            at_once = asyncio.Semaphore(AT_ONCE)

            async def send(index: int, offset: int) -> None:
                async with at_once:
                    async with aiofiles.open(job.path, "rb") as file:
                        await file.seek(offset)
                        data = await file.read(job.part_size)
                    checksum = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
                    url = f"{MULTIPART}/{session_id}/part/{index}?checksum={checksum}"
                    (await client.put(url, content=data)).raise_for_status()

            await asyncio.gather(*(send(index, offset) for index, offset in offsets(job)))
            (await client.post(f"{MULTIPART}/{session_id}/commit")).json()

        yield work


@asynccontextmanager
async def requests(job: Job) -> AsyncIterator[Work]:
    """One part after another, in a thread beside the ticker."""
    from requests import Session

    session = Session()
    session.headers.update(HEADERS)
    session.verify = job.certificates or True
    base = job.url + MULTIPART

    def send_all() -> None:
        session_id = session.post(base, json=OPENING).json()["sessionId"]
        with pathlib.Path(job.path).open("rb") as file:
            for index, _ in offsets(job):
                data = file.read(job.part_size)
                checksum = hashlib.sha256(data).hexdigest()
                url = f"{base}/{session_id}/part/{index}?checksum={checksum}"
                session.put(url, data=data).raise_for_status()
        session.post(f"{base}/{session_id}/commit").json()

    async def work() -> None:
        await asyncio.to_thread(send_all)

    with session:
        yield work


@asynccontextmanager
async def boto3(job: Job) -> AsyncIterator[Work]:
    """Amazon's own transfer manager with 8 threads, unsigned, with SHA-256 on."""
    import boto3 as library  # type: ignore[import-untyped]
    from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]
    from botocore import UNSIGNED  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    client = library.client(
        "s3",
        endpoint_url=job.url,
        region_name="us-east-1",
        verify=job.certificates or True,
        config=Config(
            signature_version=UNSIGNED,
            s3={"addressing_style": "path"},
            max_pool_connections=AT_ONCE,
        ),
    )
    config = TransferConfig(
        multipart_threshold=job.part_size,
        multipart_chunksize=job.part_size,
        max_concurrency=AT_ONCE,
    )

    async def work() -> None:
        await asyncio.to_thread(
            client.upload_file,
            job.path,
            "bucket",
            "key",
            ExtraArgs={"ChecksumAlgorithm": "SHA256"},
            Config=config,
        )

    yield work


@asynccontextmanager
async def obstore(job: Job) -> AsyncIterator[Work]:
    """Rust's object_store, unsigned, with SHA-256 on."""
    import obstore as library
    from obstore.store import S3Store

    store = S3Store(
        "bucket",
        endpoint=job.url,
        region="us-east-1",
        skip_signature=True,
        virtual_hosted_style_request=False,
        checksum_algorithm="SHA256",
        client_options={"allow_http": True, "allow_invalid_certificates": True},
    )

    async def work() -> None:
        await library.put_async(
            store,
            "key",
            pathlib.Path(job.path),
            use_multipart=True,
            chunk_size=job.part_size,
            max_concurrency=AT_ONCE,
        )

    yield work


@asynccontextmanager
async def nobody(_: Job) -> AsyncIterator[Work]:
    """The ticker alone."""

    async def work() -> None:
        until = time.perf_counter() + 1
        while time.perf_counter() < until:
            await asyncio.sleep(0.1)

    yield work
