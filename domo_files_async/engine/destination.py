"""Where a download goes: a file that appears whole or not at all, or a writable of the caller's.

Rule 1: bytes go to a hidden partial file beside the destination, which is always made anew.
Rule 2: publishing never replaces what was not there to be replaced, also if it came meanwhile.
Rule 3: symbolic links at the destination are replaced, never written through.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import aiofiles
import aiofiles.os

from domo_files_async.errors import DestinationError, InvalidArgumentError
from domo_files_async.planning.names import safe_file_name

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from domo_files_async.engine.threads import Threads

__all__ = (
    "Destination",
    "DownloadOutput",
    "FileDestination",
    "WriterDestination",
    "open_destination",
)


class SyncWriter(Protocol):
    """A writable binary file object."""

    def write(self, data: bytes, /) -> object: ...


class AsyncWriter(Protocol):
    """An asynchronous writable."""

    def write(self, data: bytes, /) -> Awaitable[object]: ...


DownloadOutput: TypeAlias = "str | os.PathLike[str] | SyncWriter | AsyncWriter"


class FileDestination:
    """A path; nothing is there until `publish`."""

    def __init__(self, path: Path, threads: Threads, *, overwrite: bool) -> None:
        self.path = path
        self._threads = threads
        self._overwrite = overwrite
        self._partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._handle: Any = None

    async def open(self) -> None:
        """Make the partial file.

        Raises:
            DestinationError: Something is there already, or nothing can be written there.
        """
        if not self._overwrite and await self._threads.run(os.path.lexists, self.path):
            raise _exists(self.path)
        try:
            self._handle = await aiofiles.open(
                self._partial,
                "xb",
                buffering=0,
                opener=_not_through_links,
                executor=self._threads.executor,
            )
        except OSError as error:
            raise _unwritable(self.path, error) from error

    async def write(self, data: memoryview) -> None:
        """Append *data*.

        Raises:
            DestinationError: It can't be written.
        """
        try:
            done = 0
            while done < len(data):
                done += await self._handle.write(data[done:])
        except OSError as error:
            raise _unwritable(self.path, error) from error

    async def restart(self) -> None:
        """Forget what was written."""
        await self._handle.seek(0)
        await self._handle.truncate()

    async def publish(self) -> None:
        """Make the file visible, complete.

        Raises:
            DestinationError: Something came there meanwhile, or it can't be written.
        """
        try:
            await self._handle.flush()
            await self._threads.run(os.fsync, self._handle.fileno())
            await self._handle.close()
            self._handle = None
            await self._threads.run(self._publish)
        except FileExistsError as error:
            raise _exists(self.path) from error
        except OSError as error:
            raise _unwritable(self.path, error) from error

    async def discard(self) -> None:
        """Leave nothing behind; after `publish` there is nothing to remove."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            await handle.close()
        with contextlib.suppress(OSError):
            await aiofiles.os.unlink(self._partial)

    def _publish(self) -> None:
        if self._overwrite:
            if self.path.is_dir() and not self.path.is_symlink():
                raise IsADirectoryError(f"{self.path} is a directory")
            self._partial.replace(self.path)
        else:
            # A link fails where something is; a rename would replace it.
            try:
                os.link(self._partial, self.path, follow_symlinks=False)
            except (NotImplementedError, PermissionError):
                self._partial.rename(self.path)
            else:
                self._partial.unlink()


class WriterDestination:
    """A writable of the caller's: what was written before a failure stays written."""

    path = None

    def __init__(self, writer: Any, threads: Threads) -> None:
        self._writer = writer
        self._threads = threads
        self._written = 0
        self._is_async = inspect.iscoroutinefunction(writer.write)

    async def open(self) -> None:
        """Need nothing."""

    async def write(self, data: memoryview) -> None:
        """Hand *data* on."""
        try:
            if self._is_async:
                await self._writer.write(bytes(data))
            else:
                await self._threads.run(self._write_all, bytes(data))
        except OSError as error:
            raise DestinationError(
                f"The destination can't be written after {self._written} bytes: {error}"
            ) from error
        self._written += len(data)

    async def restart(self) -> None:
        """Refuse: what is written can't be taken back."""
        raise DestinationError(
            "The data file changed while it was downloaded into a writable, which holds bytes "
            "of both now: begin with a new one"
        )

    async def publish(self) -> None:
        """Have nothing to do: it is the caller's."""

    async def discard(self) -> None:
        """Have nothing to do: it is the caller's."""

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            # A raw file may take less than it is given; others say nothing of it.
            count = self._writer.write(view)
            view = view[len(view) if count is None else count :]


Destination: TypeAlias = FileDestination | WriterDestination


async def open_destination(
    given: DownloadOutput, threads: Threads, *, name: str | None, fallback: str, overwrite: bool
) -> Destination:
    """Make a destination of whatever the caller gave.

    Args:
        given: A path of a file or a directory, or something with a `write`.
        threads: The session's.
        name: What the server calls the file; used, made safe, in a directory.
        fallback: The name where the server's says nothing.
        overwrite: Whether an existing file is replaced.

    Raises:
        InvalidArgumentError: It is nothing that can be written to.
        DestinationError: Something is there already, or nothing can be written there.
    """
    destination: Destination
    if isinstance(given, str | os.PathLike):
        text = os.fspath(given)
        if not isinstance(text, str) or not text or "\0" in text:
            raise InvalidArgumentError(f"{given!r} can't be a destination's path")
        path = Path(text)
        if await aiofiles.os.path.isdir(path):
            path = path / safe_file_name(name, fallback=fallback)
        elif text.endswith(("/", os.sep)):
            raise DestinationError(f"{text} is no directory: make it first")
        destination = FileDestination(path, threads, overwrite=overwrite)
    elif hasattr(given, "write"):
        destination = WriterDestination(given, threads)
    else:
        raise InvalidArgumentError(
            f"A {type(given).__name__} is no destination: give a path or something with a write"
        )
    await destination.open()
    return destination


def _not_through_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _exists(path: Path) -> DestinationError:
    return DestinationError(
        f"{path} exists already, and was left as it is: give another path or overwrite=True"
    )


def _unwritable(path: Path, error: OSError) -> DestinationError:
    return DestinationError(f"{path} can't be written: {error.strerror or error}")
