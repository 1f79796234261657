"""The push side of an upload, for producers that write rather than are read.

What is written goes through the same engine as any stream, chunk by chunk: a write returns when
its bytes were taken, so that they wait while the memory budget is full.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from domo_files_async.engine.shared import check_loop
from domo_files_async.engine.views import checked_chunk
from domo_files_async.errors import SessionStateError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from domo_files_async.engine.source import BytesLike
    from domo_files_async.models import UploadResult

__all__ = ("UploadWriter", "open_writer")


class UploadWriter:
    """Takes bytes for an upload; its `async with` commits on a clean exit, and aborts otherwise."""

    def __init__(self) -> None:
        self._loop, self._process = asyncio.get_running_loop(), os.getpid()
        self._turn = asyncio.Lock()
        self._offered: asyncio.Future[memoryview | None] | None = None
        self._taken: asyncio.Future[None] | None = None
        self._ended: asyncio.Task[UploadResult] | None = None
        self._closed = False
        self._is_torn = False
        self._wake()

    @property
    def result(self) -> UploadResult:
        """What the upload made, once its `async with` was left.

        Raises:
            SessionStateError: It isn't over, or wasn't committed.
        """
        if self._ended is None or not self._ended.done():
            raise SessionStateError("The upload isn't over: leave its `async with` first")
        if self._ended.cancelled() or self._ended.exception() is not None:
            raise SessionStateError("The upload wasn't committed, so there is no result")
        return self._ended.result()

    async def write(self, chunk: BytesLike) -> None:
        """Upload *chunk* after those before it; waits while the memory budget is full.

        Args:
            chunk: Bytes of any number; once this returned, they may be changed or dropped.

        Raises:
            SessionStateError: The upload's `async with` was left, or a write was cancelled before:
                such an upload isn't committed. Or this is another event loop.
            DomoFilesError: The upload failed meanwhile.
        """
        view = checked_chunk(chunk)
        check_loop(self._loop, self._process)
        async with self._turn:
            if self._closed:
                raise SessionStateError("This upload is closed: open another one")
            self._check()
            self._check_whole()
            if view:
                await self._hand_over(view)
        # Its buffer can be emptied now. One whose write was cancelled may still be read.
        view.release()

    async def chunks(self) -> AsyncIterator[memoryview]:
        """Give what is written; asking for the next says that the one before was taken."""
        while True:
            assert self._offered is not None
            chunk = await self._offered
            if chunk is None:
                return
            yield chunk
            self._wake()
            if self._taken is not None and not self._taken.done():
                self._taken.set_result(None)

    def start(self, uploading: asyncio.Task[UploadResult]) -> None:
        """Say which upload takes the chunks."""
        self._ended = uploading
        uploading.add_done_callback(self._upload_ended)

    async def finish(self) -> None:
        """Say that this was all, and wait for the commit."""
        assert self._ended is not None
        async with self._turn:
            self._check_whole()
            self._closed = True
            if self._offered is not None and not self._offered.done():
                self._offered.set_result(None)
        # Its own end isn't to look like the caller's: who was cancelled is told by `wait`.
        await asyncio.wait({self._ended})
        self._result()

    async def stop(self) -> None:
        """End the upload without a commit."""
        assert self._ended is not None
        self._closed = True
        self._ended.cancel()
        await asyncio.wait({self._ended})
        if not self._ended.cancelled():
            self._ended.exception()

    async def _hand_over(self, view: memoryview) -> None:
        assert self._offered is not None
        assert self._ended is not None
        if self._offered.cancelled():
            # Nobody takes any more: the upload has failed, and is still cleaning up.
            await asyncio.wait({self._ended})
            self._check()
        self._taken = asyncio.get_running_loop().create_future()
        self._offered.set_result(view)
        try:
            await self._taken
        except asyncio.CancelledError:
            self._is_torn = True
            raise
        self._check()

    def _check_whole(self) -> None:
        if self._is_torn:
            raise SessionStateError(
                "A write was cancelled, so that nobody knows which of its bytes the upload has: "
                "nothing is committed; open another one"
            )

    def _wake(self) -> None:
        self._offered = asyncio.get_running_loop().create_future()

    def _upload_ended(self, _: object) -> None:
        if self._taken is not None and not self._taken.done():
            self._taken.set_result(None)

    def _check(self) -> None:
        if self._ended is not None and self._ended.done():
            self._result()
            raise SessionStateError("The upload ended before all was written")

    def _result(self) -> UploadResult:
        assert self._ended is not None
        if self._ended.cancelled():
            raise SessionStateError(
                "The upload was ended when its session was closed: leave the upload's block first"
            )
        return self._ended.result()


@asynccontextmanager
async def open_writer(
    upload: Callable[[AsyncIterator[memoryview]], Awaitable[UploadResult]],
    check: Callable[[], object],
) -> AsyncIterator[UploadWriter]:
    """Open the push side of *upload*, a function that uploads an iterator's chunks.

    Args:
        upload: Uploads them.
        check: Raises where the session isn't open any more.
    """
    check()
    writer = UploadWriter()

    async def run() -> UploadResult:
        return await upload(writer.chunks())

    writer.start(asyncio.create_task(run()))
    try:
        yield writer
        await writer.finish()
    except BaseException:
        await writer.stop()
        raise
