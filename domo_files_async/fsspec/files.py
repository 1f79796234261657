"""Opened files: read by ranges of one revision, or written as a new one when they are closed."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import attrs
from fsspec.asyn import AbstractAsyncStreamedFile, AsyncFileSystem, sync
from fsspec.spec import AbstractBufferedFile

from domo_files_async.errors import ChecksumMismatchError, TransportError
from domo_files_async.fsspec.paths import os_errors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from domo_files_async.engine.writer import UploadWriter
    from domo_files_async.models import Revision
    from domo_files_async.session import DomoFilesSession

__all__ = ("DomoFile", "DomoStreamedFile", "Opening", "read_chunks", "read_range", "read_verified")

_log = logging.getLogger(__name__)


async def read_chunks(
    session: DomoFilesSession, number: int, revision_id: int, start: int, stop: int | None
) -> AsyncGenerator[bytes]:
    """Give a range; a connection that drops is followed by one that goes on from there."""
    while stop is None or start < stop:
        before = start
        try:
            async with session.open_download(
                number, revision_id=revision_id, byte_range=(start, stop)
            ) as stream:
                async for chunk in stream:
                    start += len(chunk)
                    yield chunk
        except TransportError:
            if start == before:
                raise
        else:
            return


async def read_range(
    session: DomoFilesSession, number: int, revision_id: int, start: int, stop: int
) -> bytes:
    """Give a range at once."""
    async with aclosing(read_chunks(session, number, revision_id, start, stop)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def read_verified(
    session: DomoFilesSession, number: int, revision: Revision
) -> AsyncGenerator[bytes]:
    """Give a revision's bytes; fail at their end, before a commit, if they aren't its."""
    digest = hashlib.sha256()
    chunks = read_chunks(session, number, revision.data_file_revision_id, 0, revision.size_bytes)
    async with aclosing(chunks):
        async for chunk in chunks:
            digest.update(chunk)
            yield chunk
    expected, actual = revision.sha256_hash_value, digest.hexdigest()
    if expected is not None and expected.lower() != actual:
        raise ChecksumMismatchError(
            f"Data file {number} came with other bytes than the server says it has, and "
            "wasn't copied: try again",
            expected=expected.lower(),
            actual=actual,
            data_file_id=number,
            revision_id=revision.data_file_revision_id,
        )


@attrs.define(eq=False)
class Opening:
    """What one opened file reads, or the upload that it is written to."""

    session: Callable[[], Awaitable[DomoFilesSession]]
    path: str
    note_change: Callable[[int], None]
    details: dict[str, Any] = attrs.field(factory=dict)
    target: dict[str, Any] = attrs.field(factory=dict)
    _entered: AbstractAsyncContextManager[UploadWriter] | None = attrs.field(
        default=None, init=False
    )
    _writer: UploadWriter | None = attrs.field(default=None, init=False)

    @property
    def is_writing(self) -> bool:
        """Whether there is an upload that is neither committed nor discarded."""
        return self._entered is not None

    @contextmanager
    def _os_errors(self) -> Iterator[None]:
        number = (self.details or self.target).get("data_file_id")
        try:
            with os_errors(self.path):
                yield
        except FileNotFoundError:
            if number is not None:
                self.note_change(number)
            raise

    async def read(self, start: int, stop: int) -> bytes:
        """Give a range of the revision that was the current one when the file was opened."""
        number, revision_id = self.details["data_file_id"], self.details["revision_id"]
        with self._os_errors():
            return await read_range(await self.session(), number, revision_id, start, stop)

    async def write(self, chunk: bytes) -> None:
        """Upload a chunk after those before it."""
        with self._os_errors():
            if self._writer is None:
                entering = (await self.session()).open_upload(**self.target)
                self._writer = await entering.__aenter__()
                self._entered = entering
            await self._writer.write(chunk)

    async def commit(self) -> None:
        """Publish what was written; once."""
        entered, self._entered = self._entered, None
        if entered is not None:
            assert self._writer is not None
            with self._os_errors():
                await entered.__aexit__(None, None, None)
            self.note_change(self._writer.result.data_file_id)

    async def discard(self) -> None:
        """Abort the upload if there is one that wasn't committed."""
        entered, self._entered = self._entered, None
        if entered is not None:
            error = asyncio.CancelledError("discarded")
            with suppress(asyncio.CancelledError):
                await entered.__aexit__(type(error), error, None)


class _Handled:
    """The exception that was being handled when a file was opened.

    A wrapper's `close` isn't told of the exception that its `with` block was left by. It is
    being handled then, like one that was caught before the file was opened, as in "make it if
    it isn't there". That one is the file's end only if it was raised again, by its name or in
    another function: a bare `raise` right there leaves no mark on it.
    """

    def __init__(self) -> None:
        self._error = sys.exception()
        self._traceback = self._error.__traceback__ if self._error else None

    def raised_since(self) -> BaseException | None:
        """Give the exception that is being handled, if it was raised since the file was opened."""
        error = sys.exception()
        if error is None or error is not self._error:
            return error
        return error if error.__traceback__ is not self._traceback else None

    def forget(self) -> None:
        """Hold no frames any longer."""
        self._error = self._traceback = None


class DomoFile(AbstractBufferedFile):
    """A data file that is read by ranges of one revision, or written as a new one.

    What is written is published by `close`, unless that is called by an exception: leaving a
    `with` block by one, also of a wrapper such as a text or gzip file, publishes nothing.
    `close` can't tell that from a call while an error is handled that was raised after the file
    was opened: it publishes nothing, and raises that error again. `with file:` can tell.
    """

    closed: bool

    def __init__(self, fs: AsyncFileSystem, opening: Opening, **options: Any) -> None:
        self._opening = opening
        self._handled = _Handled()
        if opening.details:
            self._details = opening.details
        super().__init__(fs, opening.path, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        reopen, (fs, _, *how) = super().__reduce__()
        number, revision_id = self.details["data_file_id"], self.details["revision_id"]
        return reopen, (fs, f"{number}@{revision_id}", *how)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return sync(self.fs.loop, self._opening.read, start, end)  # type: ignore[no-any-return]

    def _upload_chunk(self, final: bool = False) -> bool:
        sync(self.fs.loop, self._opening.write, self.buffer.getvalue())
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        """Publish what was written; in a transaction, its end does so."""
        sync(self.fs.loop, self._opening.commit)

    def discard(self) -> None:
        """Publish nothing of what was written."""
        sync(self.fs.loop, self._opening.discard)

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._finish(error)

    def close(self) -> None:
        """Publish what was written; nothing if it is closed by an exception, which is raised."""
        error = None if self.closed or self.mode == "rb" else self._handled.raised_since()
        self._finish(error)
        if error is not None:
            raise _unpublished(error, self.path)

    def _finish(self, error: BaseException | None) -> None:
        if self.closed:
            return
        if self.mode == "rb":
            super().close()
            return
        try:
            if error is not None:
                _log.warning("%s was closed by an exception, and isn't published", self.path)
                self.discard()
            elif not self.forced:
                self.flush(force=True)
        except BaseException:
            self.discard()
            raise
        finally:
            self.closed = True
            self._handled.forget()

    def __del__(self) -> None:
        if not self.closed:
            self.closed = True
            # In a forked process there is no loop, and the upload is the other one's.
            with suppress(RuntimeError):
                _discard_soon(self._opening, self.fs.loop)


class DomoStreamedFile(AbstractAsyncStreamedFile):
    """The same for coroutines; use it with `async with`."""

    closed: bool

    def __init__(self, fs: AsyncFileSystem, opening: Opening, **options: Any) -> None:
        self._opening = opening
        self._handled = _Handled()
        if opening.details:
            self._details = opening.details
        super().__init__(fs, opening.path, cache_type="none", **options)

    async def _fetch_range(self, start: int, end: int) -> bytes:
        return await self._opening.read(start, min(end, self.size))

    async def _upload_chunk(self, final: bool = False) -> bool:
        await self._opening.write(self.buffer.getvalue())
        if final:
            await self._opening.commit()
        return True

    async def __aexit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._finish(error)

    async def close(self) -> None:
        """Publish what was written; nothing if it is closed by an exception, which is raised."""
        error = None if self.closed or self.mode == "rb" else self._handled.raised_since()
        await self._finish(error)
        if error is not None:
            raise _unpublished(error, self.path)

    async def _finish(self, error: BaseException | None) -> None:
        if self.closed:
            return
        try:
            if self.mode != "rb":
                if error is not None:
                    _log.warning("%s was closed by an exception, and isn't published", self.path)
                elif not self.forced:
                    await self.flush(force=True)
        finally:
            self.closed = True
            self._handled.forget()
            await self._opening.discard()

    def __del__(self) -> None:
        self.closed = True


def _unpublished(error: BaseException, path: str) -> BaseException:
    error.add_note(
        f"{path} wasn't published: it was closed while this was handled, which may have cut it "
        "short. Write it in a `with` block of its own, or close it after the `except`"
    )
    return error


def _discard_soon(opening: Opening, loop: asyncio.AbstractEventLoop) -> None:
    if opening.is_writing and loop.is_running():
        asyncio.run_coroutine_threadsafe(opening.discard(), loop)
