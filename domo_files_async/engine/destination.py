"""Where a download goes: a file that appears whole or not at all, or a writable of the caller's."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias

from domo_files_async.engine.partial import Partial
from domo_files_async.engine.threads import TURN
from domo_files_async.engine.views import checked_now, is_open_for
from domo_files_async.errors import DestinationError, DomoFilesError, InvalidArgumentError
from domo_files_async.planning.names import safe_file_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from domo_files_async.engine.buffers import Lease
    from domo_files_async.engine.digest import Digest
    from domo_files_async.engine.partial import Record
    from domo_files_async.engine.threads import Threads
    from domo_files_async.transport.reply import ReplyStream

__all__ = (
    "Destination",
    "DownloadOutput",
    "FileDestination",
    "WriterDestination",
    "checked_output",
    "open_destination",
)


class SyncWriter(Protocol):
    """A writable binary file object."""

    def write(self, data: bytes, /) -> object: ...


class AsyncWriter(Protocol):
    """An asynchronous writable; its `write` is an `async def`, or it seems to block."""

    def write(self, data: bytes, /) -> Awaitable[object]: ...


DownloadOutput: TypeAlias = "str | os.PathLike[str] | SyncWriter | AsyncWriter"


class FileDestination:
    """A path; nothing is there until `publish`.

    Attributes:
        path: Where it is going to be.
        takes_ranges: Whether bytes may come in any order.
    """

    takes_ranges = True

    def __init__(
        self, path: Path, threads: Threads, *, overwrite: bool, identity: str | None
    ) -> None:
        self.path = path
        self._threads = threads
        self._overwrite = overwrite
        self._identity = identity
        self._partial: Partial | None = None

    async def open(self) -> None:
        """Make the partial file, or take up the one that an earlier download left.

        Raises:
            DestinationError: Something is there already, or nothing can be written there.
        """
        if not self._overwrite and await self._threads.run(os.path.lexists, self.path):
            raise _exists(self.path)
        with self._translated():
            self._partial = await self._threads.open(Partial, self.path, self._identity)

    async def take_up(self, total: int | None) -> int:
        """Say how many of *total* bytes are there already, from the first one on."""
        with self._translated():
            return await self._threads.run(self._opened.take_up, total)

    async def write(
        self,
        offset: int,
        view: memoryview,
        lease: Lease,
        *,
        digest: Digest,
        record: Record | None,
    ) -> None:
        """Put *view*, a piece of the lease's memory, in its place, and feed *digest* with it.

        Raises:
            DestinationError: It can't be written.
        """
        with self._translated():
            await self._threads.run_on(
                (lease,), self._opened.write, offset, view, digest=digest, record=record
            )
        self._flush_if_due()

    async def receive(
        self,
        reply: ReplyStream,
        offset: int,
        size: int,
        lease: Lease,
        *,
        digest: Digest,
        record: Record | None,
    ) -> int | None:
        """Let a thread receive what is there of *size* bytes, put it in its place, and digest it.

        Returns:
            Bytes that came; fewer if no more was there soon, `None` where only the loop receives.

        Raises:
            DestinationError: It can't be written.
        """
        threads, partial = self._threads, self._opened
        put = functools.partial(partial.receive, digest=digest, record=record, begin=threads.begin)
        with self._translated():
            moved = await reply.lend(
                lambda receive: threads.receive(lease, put, receive, offset, size, lease.view)
            )
        self._flush_if_due()
        return moved

    def _flush_if_due(self) -> None:
        if self._partial is not None and self._partial.takes_flush():
            self._threads.flush(self._partial.flush)

    async def reread(self, digest: Digest, stop: int, lease: Lease) -> None:
        """Feed *digest* with what is there up to *stop*, read through the lease's memory.

        Raises:
            DestinationError: It can't be read.
        """
        with self._translated():
            while digest.at < stop:
                turn = min(stop, digest.at + TURN)
                await self._threads.run_on((lease,), self._opened.digest, digest, turn, lease.view)

    async def restart(self) -> bool:
        """Forget what is there; say whether that could be done."""
        with self._translated():
            await self._threads.run(self._opened.restart)
        return True

    async def publish(self, size: int) -> None:
        """Make the file visible, complete.

        Raises:
            DestinationError: Something came there meanwhile, or it can't be written.
        """
        with self._translated():
            await self._threads.run(
                self._opened.publish, self.path, size, overwrite=self._overwrite
            )

    async def leave(self, keep: int | None) -> None:
        """Leave nothing behind, or what a later download can go on from; also when cancelled.

        Args:
            keep: Bytes from the first one on; `None` for all that are there.
        """
        partial, self._partial = self._partial, None
        if partial is not None:
            await self._threads.finish(functools.partial(partial.close, keep))

    @property
    def _opened(self) -> Partial:
        assert self._partial is not None
        return self._partial

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError as error:
            raise _exists(self.path) from error
        except OSError as error:
            raise DestinationError(
                f"{self.path} can't be written: {error.strerror or error}"
            ) from error


class WriterDestination:
    """A writable of the caller's: what was written before a failure stays written."""

    path = None
    takes_ranges = False

    def __init__(self, writer: Any, threads: Threads) -> None:
        self._writer = writer
        self._threads = threads
        self._written = 0
        self._is_async = inspect.iscoroutinefunction(writer.write)

    async def open(self) -> None:
        """Need nothing but leave to write.

        Raises:
            DestinationError: It is open for reading.
        """
        if is_open_for(self._writer, "r"):
            raise DestinationError(f"{self._writer!r} can't be written: it isn't open for writing")

    async def take_up(self, total: int | None) -> int:  # noqa: ARG002 - nothing is there
        """Begin at the beginning."""
        return 0

    async def write(
        self,
        offset: int,  # noqa: ARG002 - they come in order
        view: memoryview,
        lease: Lease,
        *,
        digest: Digest,
        record: Record | None,  # noqa: ARG002 - the same
    ) -> None:
        """Feed *digest* with *view*, a piece of the lease's memory, and hand it on.

        Raises:
            DestinationError: It can't be written.
        """
        await self._threads.run_on((lease,), digest.update, view)
        data = bytes(view)
        try:
            if self._is_async:
                await self._writer.write(data)
            else:
                await self._threads.run(self._write_all, data)
        except DomoFilesError:
            raise
        except (OSError, ValueError) as error:
            # A closed file says so with a ValueError.
            raise DestinationError(
                f"The destination can't be written after {self._written} bytes: {error}"
            ) from error
        self._written += len(data)

    async def receive(
        self,
        reply: ReplyStream,
        offset: int,
        size: int,
        lease: Lease,
        *,
        digest: Digest,
        record: Record | None,
    ) -> None:
        """Let no thread receive: the loop hands on what comes."""

    async def reread(self, digest: Digest, stop: int, lease: Lease) -> NoReturn:
        """Refuse: what was handed on is gone."""
        raise NotImplementedError

    async def restart(self) -> bool:
        """Say whether nothing was handed on yet."""
        return not self._written

    async def publish(self, size: int) -> None:
        """Have nothing to do: it is the caller's."""

    async def leave(self, keep: int | None) -> None:
        """Have nothing to do: it is the caller's."""

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            # A raw file may take less than it is given; others say nothing of it.
            count = checked_now(self._writer.write(view))
            view = view[len(view) if count is None else count :]


Destination: TypeAlias = FileDestination | WriterDestination


async def open_destination(
    given: DownloadOutput,
    threads: Threads,
    *,
    name: str | None,
    fallback: str,
    overwrite: bool,
    identity: str | None,
) -> Destination:
    """Make a destination of whatever the caller gave.

    Args:
        given: A path of a file or a directory, or something with a `write`.
        threads: The session's.
        name: What the server calls the file; used, made safe, in a directory.
        fallback: The name where the server's says nothing.
        overwrite: Whether an existing file is replaced.
        identity: What tells whether a partial file of before holds the same; `None` to begin anew.

    Raises:
        InvalidArgumentError: It is nothing that can be written to.
        DestinationError: Something is there already, or nothing can be written there.
    """
    destination: Destination
    output = checked_output(given)
    if isinstance(output, str):
        path = Path(output)
        if await threads.run(path.is_dir):
            path = path / safe_file_name(name, fallback=fallback)
        elif output.endswith(("/", os.sep)):
            raise DestinationError(f"{output} is no directory: make it first")
        destination = FileDestination(path, threads, overwrite=overwrite, identity=identity)
    else:
        destination = WriterDestination(output, threads)
    await destination.open()
    return destination


def checked_output(given: object) -> Any:
    """Give a path as a text, and a writable as it is.

    Raises:
        InvalidArgumentError: It is neither.
    """
    if isinstance(given, str | os.PathLike):
        text = os.fspath(given)
        if not isinstance(text, str) or not text or "\0" in text:
            raise InvalidArgumentError(f"{given!r} can't be a destination's path")
        return text
    if not callable(getattr(given, "write", None)):
        raise InvalidArgumentError(
            f"A {type(given).__name__} is no destination: give a path or something with a write"
        )
    if isinstance(given, io.TextIOBase) or isinstance(getattr(given, "encoding", None), str):
        raise InvalidArgumentError(f"{given!r} takes text, not bytes: open it in binary mode")
    return given


def _exists(path: Path) -> DestinationError:
    return DestinationError(
        f"{path} exists already, and was left as it is: give another path or overwrite=True"
    )
