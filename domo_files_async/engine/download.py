"""Downloads: one verified stream to a destination that is complete or not there at all."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs

from domo_files_async.engine.destination import open_destination
from domo_files_async.engine.outcomes import list_revisions
from domo_files_async.errors import (
    ChecksumMismatchError,
    TransportError,
    UnexpectedResponseError,
)
from domo_files_async.events import (
    Progress,
    RequestRetried,
    TransferFailed,
    TransferFinished,
    TransferStarted,
)
from domo_files_async.models import DownloadResult
from domo_files_async.protocol import requests
from domo_files_async.protocol.headers import read_content_disposition, read_content_range

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from domo_files_async.engine.buffers import Lease
    from domo_files_async.engine.destination import Destination, DownloadOutput
    from domo_files_async.engine.shared import Shared
    from domo_files_async.events import ProgressFunction
    from domo_files_async.models import Revision
    from domo_files_async.transport.http import ReplyStream

__all__ = ("DownloadStream", "download", "open_stream")

_GATHER = 1024 * 1024
"""Bytes that are gathered before they are hashed and written in one go."""


class DownloadStream:
    """The bytes of a download as they come; iterate over it once, or `read` all of it.

    Attributes:
        size: Bytes that it will give; `None` where the server doesn't say.
        content_type: As the server says it.
        filename: As the server suggests it, as it is: not safe to use as a path.
        etag: The server's validator; `None` where there is none.
    """

    def __init__(self, reply: ReplyStream, *, skip: int, size: int | None, path: str) -> None:
        self._reply = reply
        self._skip = skip
        self._path = path
        self.size = size
        self.content_type = reply.headers.get("content-type")
        self.filename = read_content_disposition(reply.headers.get("content-disposition"))
        self.etag = reply.headers.get("etag")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give chunks as they arrive."""
        skip, left = self._skip, self.size
        async for chunk in self._reply.chunks():
            wanted = chunk[skip:]
            skip = max(0, skip - len(chunk))
            if left is not None:
                wanted = wanted[:left]
                left -= len(wanted)
            if wanted:
                yield wanted
            if left == 0:
                return
        if left:
            raise TransportError(f"The download of {self._path} ended {left} bytes too early")

    async def read(self) -> bytes:
        """Give all bytes at once; they are held in memory."""
        return b"".join([chunk async for chunk in self])


@asynccontextmanager
async def open_stream(
    shared: Shared,
    data_file_id: int,
    revision_id: int | None,
    byte_range: tuple[int, int | None] | None,
) -> AsyncIterator[DownloadStream]:
    """Open a download; see `DomoFilesSession.open_download`."""
    request = requests.download(
        shared.rules, data_file_id, revision_id=revision_id, byte_range=byte_range
    )
    async with shared.attempts.open_stream(request) as reply:
        start, stop = byte_range or (0, None)
        if reply.status == 206:  # noqa: PLR2004 - Partial Content
            given = read_content_range(reply.headers.get("content-range"))
            if given is None or given.start != start:
                raise UnexpectedResponseError(
                    f"bytes from {start} were asked, and others came",
                    status=reply.status,
                    method=request.method,
                    path=request.path,
                    field="Content-Range",
                )
            yield DownloadStream(reply, skip=0, size=given.stop - given.start, path=request.path)
            return
        total = reply.content_length
        size = total if stop is None else stop if total is None else min(stop, total)
        size = None if size is None else max(0, size - start)
        yield DownloadStream(reply, skip=start, size=size, path=request.path)


async def download(
    shared: Shared,
    data_file_id: int,
    given: DownloadOutput,
    *,
    revision_id: int | None,
    progress: ProgressFunction | None,
    verify: bool,
    overwrite: bool,
    resume: bool,
) -> DownloadResult:
    """Download to whatever the caller gave; see `DomoFilesSession.download`."""
    file = await shared.attempts.send(requests.get_file(shared.rules, data_file_id))
    revision = file.current_revision
    if revision_id is not None and (
        revision is None or revision.data_file_revision_id != revision_id
    ):
        revisions = await list_revisions(shared, data_file_id)
        revision = next((r for r in revisions if r.data_file_revision_id == revision_id), None)
    number = revision_id if revision is None else revision.data_file_revision_id
    destination = await open_destination(
        given,
        shared.threads,
        name=file.name,
        fallback=f"data-file-{data_file_id}",
        overwrite=overwrite,
        identity=f"{data_file_id}-{number}" if resume and number is not None else None,
    )
    run = _Download(
        shared=shared,
        data_file_id=data_file_id,
        revision_id=number,
        revision=revision if verify else None,
        total=revision.size_bytes if revision else None,
        destination=destination,
        progress=progress,
    )
    try:
        return await run.run(file.name)
    except ChecksumMismatchError:
        destination.leave(resumable=False)
        raise
    finally:
        destination.leave(resumable=True)


@attrs.define(eq=False, kw_only=True)
class _Download:
    shared: Shared
    data_file_id: int
    revision_id: int | None
    revision: Revision | None
    total: int | None
    destination: Destination
    progress: ProgressFunction | None
    transfer: int = attrs.field(init=False)
    began: float = attrs.field(init=False)
    done: int = attrs.field(default=0, init=False)
    sha256: hashlib._Hash = attrs.field(factory=hashlib.sha256, init=False)
    md5: hashlib._Hash | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.transfer = self.shared.next_transfer()
        self.began = asyncio.get_running_loop().time()
        revision = self.revision
        if revision and revision.sha256_hash_value is None and revision.md5_hash is not None:
            self.md5 = hashlib.md5(usedforsecurity=False)

    async def run(self, name: str) -> DownloadResult:
        shared = self.shared
        shared.emit(
            TransferStarted(kind="download", name=name, size=self.total, transfer=self.transfer)
        )
        try:
            self.done = await self.destination.take_up(self.total, self._digests)
            async with shared.limits.permit(self):
                await self._receive()
            self._verify()
            await self.destination.publish()
        except BaseException as error:
            shared.emit(
                TransferFailed(
                    kind="download", error=error, elapsed=self._elapsed, transfer=self.transfer
                )
            )
            raise
        self._report(self.done)
        shared.emit(
            TransferFinished(
                kind="download",
                data_file_id=self.data_file_id,
                revision_id=self.revision_id,
                size=self.done,
                elapsed=self._elapsed,
                transfer=self.transfer,
            )
        )
        return DownloadResult(
            path=self.destination.path,
            data_file_id=self.data_file_id,
            revision_id=self.revision_id,
            size_bytes=self.done,
            sha256=self.sha256.hexdigest(),
            elapsed=self._elapsed,
        )

    async def _receive(self) -> None:
        """Receive all of it; a connection that drops is followed by one that goes on from there."""
        attempt = 0
        while True:
            before = self.done
            error = await self._receive_once()
            if error is None:
                return
            # Whatever arrived is progress, after which the attempts count anew.
            attempt = 1 if self.done > before else attempt + 1
            delay = self.shared.attempts.judge(error, attempt=attempt)
            if delay is None:
                raise error
            self.shared.emit(
                RequestRetried(
                    operation="open_download",
                    attempt=attempt,
                    delay=delay,
                    error=error,
                    transfer=self.transfer,
                )
            )
            await asyncio.sleep(delay)

    async def _receive_once(self) -> TransportError | None:
        """Receive what is left; give the error that it broke off with, if it did."""
        byte_range = (self.done, None) if self.done else None
        if self.total is not None and self.done >= self.total > 0:
            return None
        broke_off: TransportError | None = None
        with await self.shared.buffers.lease(min(_GATHER, self.shared.buffers.share)) as lease:
            filled = 0
            async with open_stream(
                self.shared, self.data_file_id, self.revision_id, byte_range
            ) as stream:
                try:
                    async for chunk in stream:
                        start = 0
                        while start < len(chunk):
                            count = min(len(chunk) - start, lease.size - filled)
                            lease.view[filled : filled + count] = chunk[start : start + count]
                            start, filled = start + count, filled + count
                            if filled == lease.size:
                                await self._keep(lease.view, lease)
                                filled = 0
                except TransportError as error:
                    broke_off = error
            await self._keep(lease.view[:filled], lease)
        return broke_off

    async def _keep(self, view: memoryview, lease: Lease) -> None:
        if not view:
            return
        await self.destination.write(view, lease, self._digests)
        self.done += len(view)
        if self.done != self.total:
            self._report(self.total)

    def _verify(self) -> None:
        revision = self.revision
        if revision is None:
            return
        if revision.size_bytes is not None and revision.size_bytes != self.done:
            raise self._mismatch(f"{revision.size_bytes} bytes", f"{self.done}")
        if revision.sha256_hash_value is not None:
            expected, actual = revision.sha256_hash_value.lower(), self.sha256.hexdigest()
        elif revision.md5_hash is not None and self.md5 is not None:
            expected, actual = revision.md5_hash.lower(), self.md5.hexdigest()
        else:
            return
        if expected != actual:
            raise self._mismatch(expected, actual)

    def _mismatch(self, expected: str, actual: str) -> ChecksumMismatchError:
        return ChecksumMismatchError(
            f"The download of data file {self.data_file_id} isn't what the server says it has: "
            f"{expected} were expected, and {actual} came. Nothing was published: try again",
            expected=expected,
            actual=actual,
            data_file_id=self.data_file_id,
            revision_id=self.revision_id,
        )

    def _report(self, total: int | None) -> None:
        if self.progress is not None:
            self.progress(Progress(self.done, total, 0, 0))

    @property
    def _digests(self) -> list[hashlib._Hash]:
        return [self.sha256] if self.md5 is None else [self.sha256, self.md5]

    @property
    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self.began
