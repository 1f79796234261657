"""A data file as the answer to a request, passed through as the browser takes it."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import quote

from fastapi import Response
from fastapi.responses import StreamingResponse

from domo_files_async.errors import NotFoundError, TransportError
from domo_files_async.fastapi.conditions import read_range, refusal
from domo_files_async.planning.names import safe_file_name

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from fastapi import Request
    from starlette.types import Send

    from domo_files_async.models import DataFile, Revision
    from domo_files_async.session import DomoFilesSession

__all__ = ("file_response",)

_log = logging.getLogger("domo_files_async")

_UNTYPED = "application/octet-stream"
_HEADER_TEXT = re.compile(r"[\x20-\x7e]+")
_NOT_PLAIN = re.compile(r'[^\x20-\x7e]|["\\%]')


async def file_response(
    session: DomoFilesSession,
    data_file_id: int,
    request: Request,
    *,
    revision_id: int | None = None,
    filename: str | None = None,
    stall: float = 60.0,
) -> Response:
    """Answer *request*, a GET or HEAD, with a data file.

    Its conditions and its range are kept, as long as it asks for one range; of several the whole
    is sent. The browser is told to save it under its name and to guess no type. The connection to
    Domo lasts as long as the browser reads: when it leaves, or takes nothing, it is given back.

    Args:
        session: Where from, as `DomoFiles` gives it.
        data_file_id: The data file.
        request: What is answered.
        revision_id: Which revision; `None` for the current one.
        filename: What the browser shall save it as; by default the data file's name.
        stall: Most seconds to wait for the browser to take what was sent.

    Returns:
        A response whose headers may be changed before it is sent.

    Raises:
        NotFoundError: There is no such data file or revision.
        DomoFilesError: Domo didn't answer as it should.

    Source: RFC 9110, sections 13 and 14.
    """
    file, revision = await _find(session, data_file_id, revision_id)
    etag = f'"{data_file_id}-{revision.data_file_revision_id}"' if revision else ""
    size = revision.size_bytes if revision else None
    headers = {"Cache-Control": "private, no-cache"}
    if etag:
        headers["ETag"] = etag
        refused = refusal(request.headers, etag)
        if refused is not None:
            return Response(status_code=refused, headers=headers)
    headers |= {
        "Content-Type": _content_type(revision),
        "Content-Disposition": _content_disposition(
            safe_file_name(filename or file.name, fallback=f"data-file-{data_file_id}")
        ),
        "X-Content-Type-Options": "nosniff",
    }
    start, stop, status = 0, size, 200
    if size is not None and etag:
        headers["Accept-Ranges"] = "bytes"
        asked = read_range(request.headers, etag, size) if request.method == "GET" else "whole"
        if asked == "unsatisfiable":
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
        if asked != "whole":
            start, stop, status = *asked, 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    if stop is not None:
        headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    number = revision.data_file_revision_id if revision else None
    chunks = _chunks(session, data_file_id, number, start, stop)
    return _PassedThrough(chunks, status_code=status, headers=headers, stall=stall)


class _PassedThrough(StreamingResponse):
    """Begins once the first bytes are there, so that a failure before them is still an answer."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        *,
        status_code: int,
        headers: dict[str, str],
        stall: float,
    ) -> None:
        super().__init__(chunks, status_code=status_code, headers=headers)
        self._chunks = chunks
        self._stall = stall

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._chunks) as chunks:
            chunk = await anext(chunks, b"")
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            while chunk:
                try:
                    async with asyncio.timeout(self._stall):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                except TimeoutError:
                    _log.info("A browser took nothing for %g s: its download ends", self._stall)
                    return
                chunk = await anext(chunks, b"")
        await send({"type": "http.response.body", "body": b""})


async def _find(
    session: DomoFilesSession, data_file_id: int, revision_id: int | None
) -> tuple[DataFile, Revision | None]:
    expand = () if revision_id is None else ("revisions",)
    file = await session.get_file(data_file_id, expand=expand)
    if revision_id is None:
        return file, file.current_revision
    for revision in file.revisions:
        if revision.data_file_revision_id == revision_id:
            return file, revision
    path = f"/{data_file_id}/revisions/{revision_id}"
    raise NotFoundError("There is no such revision", status=404, method="GET", path=path)


async def _chunks(
    session: DomoFilesSession,
    data_file_id: int,
    revision_id: int | None,
    start: int,
    stop: int | None,
) -> AsyncGenerator[bytes, None]:
    """Give the bytes; a connection that broke off is followed by one that goes on from there."""
    while stop is None or start < stop:
        before = start
        whole = start == 0 and stop is None
        try:
            async with session.open_download(
                data_file_id,
                revision_id=revision_id,
                byte_range=None if whole else (start, stop),
            ) as stream:
                async for chunk in stream:
                    start += len(chunk)
                    yield chunk
        except TransportError:
            if start == before or revision_id is None:
                raise
        else:
            return


def _content_type(revision: Revision | None) -> str:
    said = revision.content_type if revision else None
    return said if said and _HEADER_TEXT.fullmatch(said) else _UNTYPED


def _content_disposition(name: str) -> str:
    """Write a file's name for browsers, and for what knows ASCII only.

    Source: RFC 6266, section 4; RFC 8187.
    """
    plain = _NOT_PLAIN.sub("_", name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"
