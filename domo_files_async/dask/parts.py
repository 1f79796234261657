"""Sends some parts of a multipart session that the coordinator opened, and will commit."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from domo_files_async.bulk.items import fingerprint_of
from domo_files_async.bulk.urls import read_range, state_of
from domo_files_async.engine.bodies import HeldBody
from domo_files_async.engine.parts import ByteParts, RereadParts
from domo_files_async.engine.source import BytesSource, StreamSource, open_source
from domo_files_async.errors import DomoFilesError, PartUploadError, SourceChangedError, SourceError
from domo_files_async.events import PartSent, PartStarted
from domo_files_async.planning.ledger import SendPart
from domo_files_async.protocol import requests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from domo_files_async.dask.words import Parts
    from domo_files_async.engine.shared import Shared
    from domo_files_async.planning.parts import Part
    from domo_files_async.transport.body import Body

__all__ = ("send_parts",)


async def send_parts(shared: Shared, parts: Parts) -> int:
    """Send them, one after the other.

    Returns:
        How many attempts it took.

    Raises:
        SourceError: The source can't be read, or isn't what the coordinator saw.
        PartUploadError: The server doesn't take one.
    """
    attempts = 0
    bodies = _of_url(shared, parts) if parts.item.is_url else _of_path(shared, parts)
    try:
        async for part, body, checksum in bodies:
            attempts += await _send(shared, parts, part, body, checksum)
    finally:
        await bodies.aclose()
    return attempts


async def _send(shared: Shared, parts: Parts, part: Part, body: Body, checksum: str | None) -> int:
    loop = asyncio.get_running_loop()
    attempts = 1

    def on_retry(attempt: int, delay: float, error: DomoFilesError) -> None:  # noqa: ARG001
        nonlocal attempts
        attempts += 1

    request = requests.upload_part(
        shared.rules,
        parts.session_id,
        part.index,
        content_type=parts.content_type,
        checksum=checksum,
    )
    async with shared.limits.permit(parts.session_id):
        began = loop.time()
        shared.emit(PartStarted(session_id=parts.session_id, index=part.index, size=part.size))
        try:
            await shared.attempts.send(request, body, on_retry=on_retry)
        except DomoFilesError as error:
            raise PartUploadError(index=part.index, attempts=attempts, cause=error) from error
    shared.emit(
        PartSent(
            session_id=parts.session_id,
            index=part.index,
            size=part.size,
            attempts=attempts,
            elapsed=loop.time() - began,
        )
    )
    return attempts


async def _of_path(
    shared: Shared, parts: Parts
) -> AsyncGenerator[tuple[Part, Body, str | None], None]:
    source = await open_source(parts.item.source, shared.threads, shared.buffers)
    try:
        state = await shared.threads.run(_state_of_path, parts.item.source)
        if state != parts.item.fingerprint or isinstance(source, StreamSource):
            raise _changed(parts)
        supply = (
            ByteParts(shared, source, hashed=True)
            if isinstance(source, BytesSource)
            else RereadParts(shared, source, hashed=True)
        )
        for part in _planned(parts):
            taken = await supply.take(SendPart(part.index, part.offset, part.size))
            try:
                body, checksum = await taken.prepare()
                yield part, body, checksum
            finally:
                taken.release()
        await supply.check()
    finally:
        await source.aclose()


async def _of_url(
    shared: Shared, parts: Parts
) -> AsyncGenerator[tuple[Part, Body, str | None], None]:
    url = parts.item.source
    for part in _planned(parts):
        # What is read is held elsewhere, but for as long as this much of the budget.
        with await shared.buffers.lease(min(part.size, shared.buffers.budget)):
            if await asyncio.to_thread(state_of, url) != (parts.plan.size, parts.item.fingerprint):
                raise _changed(parts)
            data = await asyncio.to_thread(read_range, url, part.offset, part.size)
            checksum = await shared.threads.sha256_hex((), [memoryview(data)])
            yield part, HeldBody([memoryview(data)]), checksum


def _planned(parts: Parts) -> Iterator[Part]:
    return (parts.plan.part(index) for index in range(parts.first, parts.last + 1))


def _state_of_path(path: str) -> str:
    try:
        return fingerprint_of(os.stat(path))  # noqa: PTH116 - paths stay as they are given
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} can't be read: {error}") from error


def _changed(parts: Parts) -> SourceChangedError:
    return SourceChangedError(
        f"{parts.item.source} isn't, on this worker, what it was when its upload began; nothing "
        "was committed"
    )
