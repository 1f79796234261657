"""Where bytes come from: a path, bytes, a file object, an async iterator, an ASGI upload.

Two kinds remain of them: what can be read again from any offset (`FileSource`,
`AsyncFileSource`, `BytesSource`), and what gives each byte once (`StreamSource`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import io
import mimetypes
import os
import threading
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import aiofiles.threadpool

from domo_files_async.engine.opening import open_file
from domo_files_async.engine.producers import OwnThread, read_pipe
from domo_files_async.engine.shelf import changed, file_state
from domo_files_async.engine.threads import TURN
from domo_files_async.engine.views import (
    checked_chunk,
    checked_now,
    describe,
    is_open_for,
    name_of,
    takes_size,
    view_of,
)
from domo_files_async.errors import (
    DomoFilesError,
    InvalidArgumentError,
    SourceChangedError,
    SourceError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator

    from domo_files_async.engine.buffers import Buffers, Lease, Spare
    from domo_files_async.engine.opening import Opened
    from domo_files_async.engine.threads import Threads

__all__ = (
    "UNTYPED",
    "AsyncFileSource",
    "BytesLike",
    "BytesSource",
    "FileSource",
    "RereadableSource",
    "Source",
    "StreamSource",
    "UploadInput",
    "guess_type",
    "open_source",
)

UNTYPED = "application/octet-stream"

_READ_SIZE = 256 * 1024
_SMALL = 64 * 1024

_READING_TYPES = threading.Lock()
_STEP = 4 * 1024 * 1024
"""Bytes that are read and then hashed: few enough to stay in a cache, and so many that a thread
seldom has to wait for the interpreter's lock."""


class SyncFile(Protocol):
    """A binary file object."""

    def read(self, size: int, /) -> bytes: ...


class AsyncFile(Protocol):
    """An asynchronous binary file object; its `read` is an `async def`, or it seems to block."""

    def read(self, size: int, /) -> Awaitable[bytes]: ...


BytesLike: TypeAlias = "bytes | bytearray | memoryview"
UploadInput: TypeAlias = (
    "str | os.PathLike[str] | BytesLike | SyncFile | AsyncFile | AsyncIterable[BytesLike]"
)


class FileSource:
    """A file that is read from any offset, in threads.

    Args:
        what: How errors call it.
        read_at: Reads into a view at an offset, and says how many bytes; called in threads.
        size: Bytes.
        first_state: What *state* gave at the beginning.
        state: Gives something that differs once the file was changed; called in a thread.
    """

    def __init__(
        self,
        threads: Threads,
        what: str,
        read_at: Callable[[int, memoryview], int],
        *,
        size: int,
        first_state: object,
        state: Callable[[], object],
        close: Callable[[], None] | None = None,
        name: str | None = None,
        content_type: str | None = None,
    ) -> None:
        self._threads = threads
        self._what = what
        self._read_at = read_at
        self._state = state
        self._first_state = first_state
        self._close = close
        self.size = size
        self.name = name
        self.content_type = content_type

    async def fill(
        self, offset: int, view: memoryview, lease: Lease, *, hashed: bool
    ) -> str | None:
        """Fill *view*, a piece of the lease's memory, from *offset*.

        Returns:
            The SHA-256 if *hashed*: the bytes are hashed while they are warm.

        Raises:
            SourceChangedError: There are fewer bytes than there were.
            SourceError: They can't be read.
        """
        digest = hashlib.sha256() if hashed else None
        for start in range(0, len(view), TURN):
            piece = view[start : start + TURN]
            await self._threads.run_on((lease,), self._fill, offset + start, piece, digest)
        return digest.hexdigest() if digest is not None else None

    async def digest(self, offset: int, size: int, lease: Lease) -> str:
        """Give the SHA-256 of a range that is larger than memory, read through the lease."""
        digest = hashlib.sha256()
        for start in range(offset, offset + size, TURN):
            turn = min(TURN, offset + size - start)
            await self._threads.run_on((lease,), self._feed, digest, start, turn, lease.view)
        return digest.hexdigest()

    async def check(self) -> None:
        """Raise `SourceChangedError` if the file isn't what it was at the beginning."""
        with _translated(self._what):
            state = await self._threads.run(self._state)
        if state != self._first_state:
            raise changed(self._what)

    async def aclose(self) -> None:
        """Close what was opened here."""
        if self._close is not None:
            self._close()

    def _fill(self, offset: int, view: memoryview, digest: hashlib._Hash | None) -> None:
        for start in range(0, len(view), _STEP):
            step = view[start : start + _STEP]
            self._read_exactly(offset + start, step)
            if digest is not None:
                digest.update(step)

    def _feed(self, digest: hashlib._Hash, offset: int, size: int, view: memoryview) -> None:
        for start in range(0, size, len(view)):
            step = view[: min(len(view), size - start)]
            self._read_exactly(offset + start, step)
            digest.update(step)

    def _read_exactly(self, offset: int, view: memoryview) -> None:
        done = 0
        while done < len(view):
            try:
                count = self._read_at(offset + done, view[done:])
            except (OSError, ValueError) as error:
                raise SourceError(f"{self._what} can't be read: {error}") from error
            if not count:
                raise _shrunk(self._what, offset + done, self.size)
            done += count


class AsyncFileSource:
    """A seekable asynchronous file object, such as aiofiles gives; read by one task at a time."""

    def __init__(
        self, threads: Threads, file: Any, *, start: int, size: int, name: str | None
    ) -> None:
        self._threads = threads
        self._file = file
        self._start = start
        self._lock = asyncio.Lock()
        self._what = describe(file, name)
        self.size = size
        self.name = name
        self.content_type: str | None = None

    async def fill(
        self, offset: int, view: memoryview, lease: Lease, *, hashed: bool
    ) -> str | None:
        """Fill *view*, a piece of the lease's memory, from *offset*; see `FileSource.fill`."""
        size = len(view)
        async with self._lock:
            with _translated(self._what):
                await self._file.seek(self._start + offset)
            done = 0
            while done < size:
                with _translated(self._what):
                    data = checked_chunk(await self._file.read(min(size - done, _READ_SIZE)))
                if not data:
                    raise _shrunk(self._what, offset + done, self.size)
                view[done : done + len(data)] = data
                done += len(data)
        if not hashed:
            return None
        return await self._threads.sha256_hex((lease,), [view])

    async def digest(self, offset: int, size: int, lease: Lease) -> str:
        """Give the SHA-256 of a range that is larger than memory, read through the lease."""
        digest = hashlib.sha256()
        for start in range(0, size, lease.size):
            view = lease.view[: min(lease.size, size - start)]
            await self.fill(offset + start, view, lease, hashed=False)
            await self._threads.update_digest((lease,), digest, [view])
        return digest.hexdigest()

    async def check(self) -> None:
        """Raise `SourceChangedError` if the file has another size than at the beginning."""
        async with self._lock:
            with _translated(self._what):
                size = await self._file.seek(0, os.SEEK_END) - self._start
        if size != self.size:
            raise SourceChangedError(
                f"{self._what} had {self.size} bytes and has {size} now; nothing was committed. "
                "Upload it again once nobody writes to it"
            )

    async def aclose(self) -> None:
        """Leave the file open: it is the caller's."""


class BytesSource:
    """Bytes that are held by the caller, or all of a small file; sent from where they are."""

    def __init__(
        self,
        data: BytesLike,
        *,
        name: str | None = None,
        spare: Spare | None = None,
    ) -> None:
        self.view = checked_chunk(data)
        self.size = len(self.view)
        self.name = name
        self.content_type: str | None = None
        self._spare = spare

    async def check(self) -> None:
        """Find nothing: what was read is what is sent."""

    async def aclose(self) -> None:
        """Give the memory back."""
        if self._spare is not None:
            self._spare.release()


class StreamSource:
    """Bytes that come once, in order; how many isn't known."""

    size = None

    def __init__(
        self,
        chunks: AsyncIterator[BytesLike],
        *,
        name: str | None,
        close: Callable[[], None] | None = None,
    ) -> None:
        self._chunks = chunks
        self._close = close
        self.name = name
        self.content_type: str | None = None

    async def chunks(self) -> AsyncIterator[memoryview]:
        """Give what the producer gives; asking for the next lets go of the one before."""
        async for chunk in self._chunks:
            # A bytearray can't be emptied while it is looked at.
            with checked_chunk(chunk) as view:
                yield view

    async def check(self) -> None:
        """Find nothing: it can't be read again."""

    async def aclose(self) -> None:
        """Close what was opened here."""
        if self._close is not None:
            self._close()


RereadableSource: TypeAlias = FileSource | AsyncFileSource
Source: TypeAlias = RereadableSource | BytesSource | StreamSource


async def open_source(source: UploadInput, threads: Threads, buffers: Buffers) -> Source:
    """Make a source of whatever the caller gave; all of a small file is read right away.

    Raises:
        InvalidArgumentError: It is nothing that bytes can be read from.
        SourceError: It can't be opened.
    """
    if not mimetypes.inited:
        await threads.run(_read_types)
    given: Any = source
    if isinstance(given, str | os.PathLike):
        return await _open_path(given, threads, buffers)
    view = None if hasattr(given, "read") else view_of(given)
    if view is not None:
        return BytesSource(view)
    if hasattr(given, "file") and hasattr(given, "filename"):
        upload = await open_source(given.file, threads, buffers)
        upload.name = PurePath(given.filename).name if given.filename else None
        upload.content_type = getattr(given, "content_type", None) or None
        return upload
    if isinstance(given, io.TextIOBase) or isinstance(getattr(given, "encoding", None), str):
        raise InvalidArgumentError(f"{given!r} gives text, not bytes: open it in binary mode")
    read = getattr(given, "read", None)
    if takes_size(read):
        is_async = inspect.iscoroutinefunction(read)
        return await (_open_async_file if is_async else _open_file)(given, threads)
    if hasattr(given, "__aiter__"):
        return StreamSource(aiter(given), name=None)
    raise InvalidArgumentError(
        f"A {type(given).__name__} can't be uploaded: give a path, bytes, a binary file object "
        "or an async iterator of bytes"
    )


async def _open_path(path: str | os.PathLike[str], threads: Threads, buffers: Buffers) -> Source:
    what = os.fspath(path)
    if not isinstance(what, str):
        raise InvalidArgumentError("Paths are strings or path objects; bytes are data")
    if not what or "\0" in what:
        raise InvalidArgumentError(f"{what!r} can't be a path")
    # This also keeps a thousand small uploads from opening a thousand files at once.
    spare = await buffers.spare(_SMALL)
    try:
        opened = await threads.open(open_file, what, spare.size, threads.shelf)
    except OSError as error:
        spare.release()
        raise SourceError(f"{what} can't be opened: {error.strerror or error}") from error
    except BaseException:
        spare.release()
        raise
    if opened.content is not None:
        return BytesSource(opened.content, name=PurePath(what).name, spare=spare)
    spare.release()
    return _file_source(opened, what, threads)


def _file_source(opened: Opened, what: str, threads: Threads) -> Source:
    name, file, raw = PurePath(what).name, opened.file, opened.once
    if file is not None:
        return FileSource(
            threads,
            what,
            file.read_at,
            size=file.size,
            first_state=file.first_state,
            state=file.state,
            close=file.close,
            name=name,
        )
    assert raw is not None
    if opened.is_pipe:
        return StreamSource(read_pipe(raw, _READ_SIZE), name=name, close=raw.close)
    own = OwnThread()
    handle = aiofiles.threadpool.wrap(raw, executor=own)

    def close() -> None:
        own.close()
        raw.close()

    return StreamSource(_read_through(handle), name=name, close=close)


def _locked_reader(
    file: Any, start: int, lock: threading.Lock, is_over: threading.Event
) -> Callable[[int, memoryview], int]:
    def read_at(offset: int, view: memoryview) -> int:
        with lock:
            # A cancelled caller doesn't wait for slow reads, and moves the file again.
            if is_over.is_set():
                raise ValueError("the upload has ended")
            file.seek(start + offset)
            if hasattr(file, "readinto"):
                return int(file.readinto(view) or 0)
            data = checked_chunk(file.read(len(view)))
            view[: len(data)] = data
            return len(data)

    return read_at


async def _open_file(file: Any, threads: Threads) -> Source:
    name = name_of(file)
    what = describe(file, name)
    lock, is_over = threading.Lock(), threading.Event()
    with _translated(what):
        if is_open_for(file, "w", "a", "x"):
            raise SourceError(f"{what} can't be read: it isn't open for reading")
        if not (hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable())):
            own = OwnThread()
            return StreamSource(_read_in(own, file, threads), name=name, close=own.close)
        start, size, state = await threads.run(_measure, file, lock)
    return FileSource(
        threads,
        what,
        _locked_reader(file, start, lock, is_over),
        size=size,
        first_state=state,
        state=lambda: _object_state(file, lock),
        close=is_over.set,
        name=name,
    )


def _measure(file: Any, lock: threading.Lock) -> tuple[int, int, object]:
    start = checked_now(file.tell())
    end = checked_now(file.seek(0, os.SEEK_END))
    if end is None:  # SpooledTemporaryFile said nothing before Python 3.11
        end = file.tell()
    file.seek(start)
    return start, max(0, end - start), _object_state(file, lock)


async def _open_async_file(file: Any, threads: Threads) -> Source:
    name = name_of(file)
    can_seek = hasattr(file, "seek") and hasattr(file, "tell")
    with _translated(describe(file, name)):
        if can_seek and hasattr(file, "seekable"):
            answer = file.seekable()
            can_seek = await answer if inspect.isawaitable(answer) else answer
        if not can_seek:
            return StreamSource(_read_through(file), name=name)
        start = await file.tell()
        end = await file.seek(0, os.SEEK_END)
        await file.seek(start)
    return AsyncFileSource(threads, file, start=start, size=max(0, end - start), name=name)


async def _read_through(file: Any) -> AsyncIterator[memoryview]:
    while chunk := checked_chunk(await file.read(_READ_SIZE)):
        yield chunk


async def _read_in(own: OwnThread, file: Any, threads: Threads) -> AsyncIterator[memoryview]:
    # read1 gives what is there; read would wait until the whole size came.
    read = getattr(file, "read1", file.read)
    while chunk := checked_chunk(await threads.run_in(own, read, _READ_SIZE)):
        yield chunk


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except DomoFilesError:
        raise
    except (OSError, ValueError) as error:
        # A closed file says so with a ValueError.
        raise SourceError(f"{what} can't be read: {error}") from error


def _shrunk(what: str, offset: int, size: int | None) -> SourceChangedError:
    return SourceChangedError(
        f"{what} had {size} bytes and ends at {offset} now; nothing was committed. "
        "Upload it again once nobody writes to it"
    )


def _object_state(file: Any, lock: threading.Lock) -> object:
    # A spooled file moves to the disk when it is asked for its descriptor.
    if not hasattr(file, "rollover"):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            return file_state(os.fstat(file.fileno()))
    with lock:
        return file.seek(0, os.SEEK_END) or file.tell()


def _read_types() -> None:
    """Read the system's tables of content types, once, however many uploads begin at once."""
    with _READING_TYPES:
        if not mimetypes.inited:
            mimetypes.init()


def guess_type(name: object) -> str | None:
    """Guess a content type from a name, if it is one."""
    return mimetypes.guess_type(name)[0] if isinstance(name, str) else None
