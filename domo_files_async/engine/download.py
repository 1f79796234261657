"""Downloads: a stream as it comes, or a verified file that is complete or not there at all."""

from __future__ import annotations

import asyncio
import functools
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs

from domo_files_async.engine.destination import checked_output, open_destination
from domo_files_async.engine.digest import Digest
from domo_files_async.engine.outcomes import list_revisions
from domo_files_async.engine.ranges import Fetch
from domo_files_async.engine.shared import check_loop
from domo_files_async.engine.transfers import Transfer
from domo_files_async.errors import (
    ChecksumMismatchError,
    SessionStateError,
    TransportError,
    UnexpectedResponseError,
)
from domo_files_async.events import Progress
from domo_files_async.models import DownloadResult
from domo_files_async.protocol import requests
from domo_files_async.protocol.arguments import checked_flag, checked_function
from domo_files_async.protocol.headers import read_content_disposition, read_content_range

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from domo_files_async.engine.destination import Destination, DownloadOutput
    from domo_files_async.engine.shared import Shared
    from domo_files_async.events import ProgressFunction
    from domo_files_async.models import Revision
    from domo_files_async.transport.limits import Lending
    from domo_files_async.transport.reply import ReplyStream

__all__ = ("DownloadStream", "download", "open_stream")


class DownloadStream:
    """The bytes of a download as they come; iterate over it once, or `read` all of it.

    Attributes:
        size: Bytes that it will give; `None` where the server doesn't say.
        content_type: As the server says it.
        filename: As the server suggests it, as it is: not safe to use as a path.
        etag: The server's validator; `None` where there is none.
    """

    def __init__(
        self,
        reply: ReplyStream,
        lending: Lending,
        *,
        skip: int,
        size: int | None,
        path: str,
    ) -> None:
        self._reply = reply
        self._lending = lending
        self._loop, self._process = asyncio.get_running_loop(), os.getpid()
        self._is_read = False
        self._is_over = False
        self._skip = skip
        self._path = path
        self.size = size
        self.content_type = reply.headers.get("content-type")
        self.filename = read_content_disposition(reply.headers.get("content-disposition"))
        self.etag = reply.headers.get("etag")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give chunks as they arrive.

        Raises:
            SessionStateError: It was read before, its `async with` is over, or this is another
                event loop.
        """
        check_loop(self._loop, self._process)
        if self._is_over:
            raise SessionStateError("A download is read inside of its `async with` block")
        if self._is_read:
            raise SessionStateError("A download is read once: open it again")
        self._is_read = True
        self._lending.end()
        try:
            async for chunk in self._wanted():
                with self._lending:
                    yield chunk
        finally:
            # Nothing more comes, however long its block lasts.
            self._lending.lend()

    async def _wanted(self) -> AsyncIterator[bytes]:
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
    async with (
        shared.limits.leisurely_permit(object()) as lending,
        shared.attempts.open_stream(request) as reply,
    ):
        start, stop = byte_range or (0, None)
        skip, end = start, reply.content_length
        if reply.status == 206:  # noqa: PLR2004 - Partial Content
            given = read_content_range(reply.headers.get("content-range"))
            if given is None or given.start != start or given.stop < _least(stop, given.total):
                raise UnexpectedResponseError(
                    f"bytes from {start} to {stop or 'the end'} were asked, and others came",
                    status=reply.status,
                    method=request.method,
                    path=request.path,
                    field="Content-Range",
                )
            skip, end = 0, given.stop
        size = None if stop is None and end is None else max(0, _least(stop, end) - start)
        stream = DownloadStream(reply, lending, skip=skip, size=size, path=request.path)
        lending.begin()
        try:
            yield stream
        finally:
            stream._is_over = True  # noqa: SLF001 - its own module's


def _least(*ends: int | None) -> int:
    return min((end for end in ends if end is not None), default=0)


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
    requests.download(shared.rules, data_file_id, revision_id=revision_id)
    checked_output(given)
    checked_function("progress", progress)
    for flag, value in (("verify", verify), ("overwrite", overwrite), ("resume", resume)):
        checked_flag(flag, value)
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
        # What an earlier download left is gone on with only where the whole can be proven.
        identity=f"{data_file_id}-{number}" if resume and _is_provable(revision) else None,
    )
    run = _Download(
        shared=shared,
        data_file_id=data_file_id,
        revision_id=number,
        revision=revision,
        verify=verify,
        destination=destination,
        progress=progress,
    )
    try:
        return await run.run(file.name)
    finally:
        await destination.leave(run.worth_keeping)


def _is_provable(revision: Revision | None) -> bool:
    return revision is not None and bool(revision.sha256_hash_value or revision.md5_hash)


@attrs.define(eq=False, kw_only=True)
class _Download:
    shared: Shared
    data_file_id: int
    revision_id: int | None
    revision: Revision | None
    verify: bool
    destination: Destination
    progress: ProgressFunction | None
    transfer: Transfer = attrs.field(init=False)
    fetch: Fetch = attrs.field(init=False)
    reported: int = attrs.field(default=0, init=False)
    is_damaged: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.transfer = Transfer(self.shared, "download")
        self.fetch = self._make_fetch()

    def _make_fetch(self) -> Fetch:
        return Fetch(
            shared=self.shared,
            data_file_id=self.data_file_id,
            revision_id=self.revision_id,
            total=self._total,
            destination=self.destination,
            make_digest=functools.partial(Digest, self.revision),
            transfer=self.transfer.number,
            report=self._report,
        )

    async def run(self, name: str) -> DownloadResult:
        with self.transfer.told(name, self._total):
            await self._receive()
            size = self.fetch.frontier
            await self.destination.publish(size)
        if self.progress is not None:
            self.progress(Progress(size, size, 0, 0))
        result = DownloadResult(
            path=self.destination.path,
            data_file_id=self.data_file_id,
            revision_id=self.revision_id,
            size_bytes=size,
            sha256=self.fetch.digest.sha256,
            elapsed=self.transfer.elapsed,
        )
        self.transfer.finish(result)
        return result

    @property
    def worth_keeping(self) -> int | None:
        """Bytes that a later download can go on from; `None` for as many as there were."""
        return (
            0 if self.is_damaged else None if self.fetch.taken_up is None else self.fetch.frontier
        )

    async def _receive(self) -> None:
        """Receive and verify all of it; begin anew if what an earlier download left was damaged."""
        await self.fetch.run()
        damage = self._damage()
        if damage is not None and self.fetch.taken_up and await self.destination.restart():
            self.fetch = self._make_fetch()
            await self.fetch.run()
            damage = self._damage()
        if damage is not None and self.verify:
            self.is_damaged = True
            expected, actual = damage
            raise ChecksumMismatchError(
                f"The download of data file {self.data_file_id} isn't what the server says it has: "
                f"{expected} were expected, and {actual} came. Nothing was published: try again",
                expected=expected,
                actual=actual,
                data_file_id=self.data_file_id,
                revision_id=self.revision_id,
            )

    def _damage(self) -> tuple[str, str] | None:
        """Compare; what was taken up is compared in any case."""
        if self.revision is None or not (self.verify or self.fetch.taken_up):
            return None
        return self.fetch.digest.difference(self.revision)

    def _report(self, done: int) -> None:
        total = self._total
        if self.progress is not None and done > self.reported and (total is None or done < total):
            self.reported = done
            self.progress(Progress(done, total, 0, 0))

    @property
    def _total(self) -> int | None:
        return self.revision.size_bytes if self.revision else None
