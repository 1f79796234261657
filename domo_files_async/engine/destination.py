"""Where a download goes: a file that appears whole or not at all, or a writable of the caller's.

Rule 1: bytes go to a hidden partial file beside the destination, locked by whoever writes it.
Rule 2: publishing never replaces what was not there to be replaced, also if it came meanwhile.
Rule 3: symbolic links at the destination are replaced, never written through.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import io
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from domo_files_async.errors import DestinationError, InvalidArgumentError
from domo_files_async.planning.names import safe_file_name

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Awaitable, Iterator, Sequence

    from domo_files_async.engine.buffers import Lease
    from domo_files_async.engine.threads import Threads

__all__ = (
    "Destination",
    "DownloadOutput",
    "FileDestination",
    "WriterDestination",
    "open_destination",
)


_STEP = 1024 * 1024


class SyncWriter(Protocol):
    """A writable binary file object."""

    def write(self, data: bytes, /) -> object: ...


class AsyncWriter(Protocol):
    """An asynchronous writable."""

    def write(self, data: bytes, /) -> Awaitable[object]: ...


DownloadOutput: TypeAlias = "str | os.PathLike[str] | SyncWriter | AsyncWriter"


class Partial:
    """A hidden file beside the destination, locked, into which a download goes. Used in threads.

    Args:
        path: Where the whole is going to be.
        identity: What tells whether a partial file of before holds the same; `None` to make a new
            one in any case.
    """

    def __init__(self, path: Path, identity: str | None) -> None:
        self.path, self._file, self._is_found_again = _claimed(path, identity)
        self.size = os.fstat(self._file.fileno()).st_size

    def digest(self, digests: Sequence[hashlib._Hash]) -> None:
        """Digest what is there."""
        self._file.seek(0)
        while data := self._file.read(_STEP):
            for digest in digests:
                digest.update(data)

    def truncate(self) -> None:
        """Forget what is there."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0

    def write(self, view: memoryview) -> None:
        """Append all of *view*."""
        done = 0
        while done < len(view):
            done += self._file.write(view[done:])
        self.size += len(view)

    def publish(self, path: Path, *, overwrite: bool) -> None:
        """Give it its name."""
        os.fsync(self._file.fileno())
        if overwrite:
            if path.is_dir() and not path.is_symlink():
                raise IsADirectoryError(errno.EISDIR, "Is a directory")
            self.path.replace(path)
        else:
            # A link fails where something is; a rename would replace it.
            try:
                os.link(self.path, path, follow_symlinks=False)
            except (NotImplementedError, PermissionError):
                self.path.rename(path)
            else:
                self.path.unlink()
        self._file.close()

    def keep(self) -> None:
        """Leave it for another time, if there is anything in it."""
        if self.size and self._is_found_again:
            self._file.close()
        else:
            self.close()

    def close(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)
        self._file.close()


class FileDestination:
    """A path; nothing is there until `publish`."""

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

    async def take_up(self, total: int | None, digests: Sequence[hashlib._Hash]) -> int:
        """Digest what is there already; say how many bytes that is."""
        partial = self._opened
        if partial.size and (total is None or partial.size > total):
            await self._threads.run(partial.truncate)
        elif partial.size:
            await self._threads.run(partial.digest, digests)
        return partial.size

    async def write(self, view: memoryview, lease: Lease, digests: Sequence[hashlib._Hash]) -> None:
        """Digest and append *view*, a piece of the lease's memory.

        Raises:
            DestinationError: It can't be written.
        """
        with self._translated():
            await self._threads.run_on((lease,), _digest_and_write, digests, self._opened, view)

    async def publish(self) -> None:
        """Make the file visible, complete.

        Raises:
            DestinationError: Something came there meanwhile, or it can't be written.
        """
        with self._translated():
            await self._threads.run(self._opened.publish, self.path, overwrite=self._overwrite)
        self._partial = None

    def leave(self, *, resumable: bool) -> None:
        """Leave nothing behind, or the partial file if a later download can go on with it."""
        partial, self._partial = self._partial, None
        if partial is not None:
            with contextlib.suppress(OSError):
                if resumable and self._identity is not None:
                    partial.keep()
                else:
                    partial.close()

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


def _digest_and_write(digests: Sequence[hashlib._Hash], partial: Partial, view: memoryview) -> None:
    _digest_all(digests, view)
    partial.write(view)


def _claimed(path: Path, identity: str | None) -> tuple[Path, io.FileIO, bool]:
    if identity is not None:
        partial = path.with_name(f".{path.name}.{identity}.part")
        opened = io.FileIO(partial, "a+b", opener=_not_through_links)
        if _lock(opened) and partial.exists():
            return partial, opened, True
        # Another download is at it, or has just published it.
        opened.close()
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    opened = io.FileIO(partial, "x+b", opener=_not_through_links)
    _lock(opened)
    return partial, opened, False


def _lock(opened: io.FileIO) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - not on every system
    except ImportError:
        return False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


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

    async def take_up(self, total: int | None, digests: Sequence[hashlib._Hash]) -> int:  # noqa: ARG002 - nothing is there
        """Begin at the beginning."""
        return 0

    async def write(self, view: memoryview, lease: Lease, digests: Sequence[hashlib._Hash]) -> None:
        """Digest *view*, a piece of the lease's memory, and hand it on."""
        await self._threads.run_on((lease,), _digest_all, digests, view)
        data = bytes(view)
        try:
            if self._is_async:
                await self._writer.write(data)
            else:
                await self._threads.run(self._write_all, data)
        except OSError as error:
            raise DestinationError(
                f"The destination can't be written after {self._written} bytes: {error}"
            ) from error
        self._written += len(data)

    async def publish(self) -> None:
        """Have nothing to do: it is the caller's."""

    def leave(self, *, resumable: bool) -> None:
        """Have nothing to do: it is the caller's."""

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            # A raw file may take less than it is given; others say nothing of it.
            count = self._writer.write(view)
            view = view[len(view) if count is None else count :]


def _digest_all(digests: Sequence[hashlib._Hash], view: memoryview) -> None:
    for digest in digests:
        digest.update(view)


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
    if isinstance(given, str | os.PathLike):
        text = os.fspath(given)
        if not isinstance(text, str) or not text or "\0" in text:
            raise InvalidArgumentError(f"{given!r} can't be a destination's path")
        path = Path(text)
        if await threads.run(path.is_dir):
            path = path / safe_file_name(name, fallback=fallback)
        elif text.endswith(("/", os.sep)):
            raise DestinationError(f"{text} is no directory: make it first")
        destination = FileDestination(path, threads, overwrite=overwrite, identity=identity)
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
