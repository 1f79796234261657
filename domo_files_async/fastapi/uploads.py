"""A request's body, raw or a form, to Domo as it comes: held back when memory is full, never kept.

A client that leaves before its last byte has its upload aborted; after it, the upload is finished.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from fastapi import HTTPException
from starlette.requests import ClientDisconnect

from domo_files_async.fastapi.forms import FormError, FormReader, read_boundary

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fastapi import Request

    from domo_files_async.engine.upload import Verify
    from domo_files_async.fastapi.forms import FormFile
    from domo_files_async.models import UploadResult
    from domo_files_async.session import DomoFilesSession

__all__ = ("UploadRefusedError", "upload_from")

_FORM_ROOM = 64 * 1024
_UNTYPED = frozenset({"", "application/octet-stream", "application/x-www-form-urlencoded"})


class UploadRefusedError(HTTPException):
    """The request's body can't be taken; nothing was committed.

    Attributes:
        status_code: What it is answered with: 400, 408, 413 or 415.
        detail: What is wrong, for the client.
    """


async def upload_from(
    request: Request,
    session: DomoFilesSession,
    *,
    max_bytes: int,
    name: str | None = None,
    description: str | None = None,
    public: bool | None = None,
    content_type: str | None = None,
    data_file_id: int | None = None,
    verify: Verify = "parts",
    stall: float = 60.0,
) -> UploadResult:
    """Upload the body of *request*, or the one file of its form, as it comes.

    The endpoint must leave the body alone: no parameter of the kinds `Body`, `Form` or `File`. A
    client that leaves before its last byte has its upload aborted. Once the last byte is here the
    upload is finished and its result returned, whether the client still waits or not.

    Args:
        request: Whose body it is.
        session: Where to, as `DomoFiles` gives it.
        max_bytes: Most bytes of the file; refused with 413 before anything is read where the
            request says its size, otherwise as soon as more has come.
        name: The data file's; by default that of the form's file, or what the data file has.
        description: See `DomoFilesSession.upload`.
        public: See `DomoFilesSession.upload`.
        content_type: By default what the client says, or a guess from the name.
        data_file_id: The data file that gets a new revision; `None` for a new data file.
        verify: See `DomoFilesSession.upload`.
        stall: Most seconds to wait for the client's next bytes.

    Returns:
        What the upload made.

    Raises:
        UploadRefusedError: The body is too large, too slow, incomplete, or not what it says.
        DomoFilesError: The upload failed; nothing was committed, or the error says so.
    """
    _check_head(request, max_bytes)
    async with aclosing(_arriving(request, stall)) as arriving:
        boundary = _read_boundary(request)
        if boundary is None:
            said, chunks = request.headers.get("content-type"), _raw(arriving)
        else:
            file, chunks = await _open_form(FormReader(boundary), arriving)
            said, name = file.content_type, file.name if name is None else name
        async with aclosing(_limited(chunks, max_bytes)) as limited:
            return await session.upload(
                limited,
                name=name,
                description=description,
                public=public,
                content_type=content_type or _typed(said),
                data_file_id=data_file_id,
                verify=verify,
            )


def _check_head(request: Request, max_bytes: int) -> None:
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise UploadRefusedError(
            415, f"A body in the coding {coding!r} isn't taken", {"Accept-Encoding": "identity"}
        )
    said = request.headers.get("content-length", "")
    is_form = request.headers.get("content-type", "").lower().startswith("multipart/")
    if said.isdecimal() and int(said) > max_bytes + (_FORM_ROOM if is_form else 0):
        raise _too_large(max_bytes)


def _read_boundary(request: Request) -> bytes | None:
    try:
        return read_boundary(request.headers.get("content-type", ""))
    except FormError as error:
        raise UploadRefusedError(400, str(error)) from None


async def _arriving(request: Request, stall: float) -> AsyncGenerator[bytes, None]:
    """Give the body as it comes; time counts only while the client is waited for."""
    async with aclosing(request.stream()) as stream:
        while True:
            try:
                async with asyncio.timeout(stall):
                    chunk = await anext(stream, b"")
            except TimeoutError:
                raise UploadRefusedError(
                    408, f"Nothing came for {stall:g} s", {"Connection": "close"}
                ) from None
            except ClientDisconnect:
                raise UploadRefusedError(400, "The body ended before it was complete") from None
            if not chunk:
                return
            yield chunk


async def _raw(arriving: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes | memoryview, None]:
    async for chunk in arriving:
        yield chunk


async def _open_form(
    reader: FormReader, arriving: AsyncGenerator[bytes, None]
) -> tuple[FormFile, AsyncGenerator[bytes | memoryview, None]]:
    """Read as far as the form's file; give it, and its bytes."""
    async for chunk in arriving:
        found = _feed(reader, chunk)
        if reader.file is not None:
            return reader.file, _form_bytes(reader, found, arriving)
    raise UploadRefusedError(400, "The form holds no file")


async def _form_bytes(
    reader: FormReader, found: list[memoryview], arriving: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes | memoryview, None]:
    for view in found:
        yield view
    async for chunk in arriving:
        for view in _feed(reader, chunk):
            yield view
    if not reader.is_complete:
        raise UploadRefusedError(400, "The form ended before it was complete")


def _feed(reader: FormReader, chunk: bytes) -> list[memoryview]:
    try:
        return reader.feed(chunk)
    except FormError as error:
        raise UploadRefusedError(400, str(error)) from None


async def _limited(
    chunks: AsyncGenerator[bytes | memoryview, None], max_bytes: int
) -> AsyncGenerator[bytes | memoryview, None]:
    async with aclosing(chunks):
        done = 0
        async for chunk in chunks:
            done += len(chunk)
            if done > max_bytes:
                raise _too_large(max_bytes)
            yield chunk


def _too_large(max_bytes: int) -> UploadRefusedError:
    return UploadRefusedError(413, f"At most {max_bytes} bytes are taken")


def _typed(said: str | None) -> str | None:
    kind = (said or "").partition(";")[0].strip().lower()
    return None if kind in _UNTYPED else said
