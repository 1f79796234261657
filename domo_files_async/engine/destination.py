"""Where a download goes: a file that appears whole or not at all, or a writable of the caller's.

Rule 1: bytes go to a hidden partial file beside the destination, locked by whoever writes it.
Rule 2: publishing never replaces what was not there to be replaced, also if it came meanwhile.
Rule 3: symbolic links at the destination are replaced, never written through.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import io
import os
import secrets
import stat
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias
from zlib import crc32

from domo_files_async.engine.views import is_open_for
from domo_files_async.errors import DestinationError, InvalidArgumentError
from domo_files_async.planning.names import safe_file_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from domo_files_async.engine.buffers import Lease
    from domo_files_async.engine.digest import Digest
    from domo_files_async.engine.threads import Threads

__all__ = (
    "Destination",
    "DownloadOutput",
    "FileDestination",
    "WriterDestination",
    "checked_output",
    "open_destination",
)


_RECORD = struct.Struct("<8sQI")
_MAGIC = b"frontier"
_SEEKING = threading.Lock()

_RECORD_EVERY = 8 * 1024 * 1024
"""Bytes by which a record may be behind, or a hundredth of the file: what a kill may lose."""

_FLUSH_EVERY = 128 * 1024 * 1024
"""Bytes after which they are put on the disk, beside what goes on: not all at the end."""


class SyncWriter(Protocol):
    """A writable binary file object."""

    def write(self, data: bytes, /) -> object: ...


class AsyncWriter(Protocol):
    """An asynchronous writable."""

    def write(self, data: bytes, /) -> Awaitable[object]: ...


Record: TypeAlias = "tuple[int, int]"
"""Bytes of the whole file, and offset up to which all of them are there."""

DownloadOutput: TypeAlias = "str | os.PathLike[str] | SyncWriter | AsyncWriter"


class Partial:
    """A hidden file beside the destination, locked, into which a download goes. Used in threads.

    While bytes come in order, its size says how many are there. When they come in any order, a
    record behind the last byte's place says it, written before anything is put beyond, so that a
    kill at any instant leaves either the one or the other.

    Args:
        path: Where the whole is going to be.
        identity: What tells whether a partial file of before holds the same; `None` to make a new
            one in any case.
    """

    def __init__(self, path: Path, identity: str | None) -> None:
        self.path, self._file, self._is_found_again = _claimed(path, identity)
        self._is_published = False
        self._idle = threading.Condition()
        self._users = 0
        self._recorded_at: int | None = None
        self._unflushed = 0
        self._is_flushing = False
        self._sync_error: OSError | None = None
        self._syncing = threading.Lock()
        self._is_closing = False
        self._keep: int | None = None

    def take_up(self, total: int | None) -> int:
        """Cut off what can't be gone on with; say how many bytes are left."""
        size = os.fstat(self._file.fileno()).st_size
        there = 0
        if total is not None:
            there = size if size <= total else self._recorded(total)
        self._file.truncate(there)
        return there

    def restart(self) -> None:
        """Forget what is there, once nobody writes any more."""
        with self._idle:
            self._idle.wait_for(lambda: not self._users)
            self._file.truncate(0)
            self._recorded_at = None

    def write(self, offset: int, view: memoryview, record: Record | None) -> None:
        """Put *view* in its place; *record* says what is there, unless bytes come in order."""
        with self._used():
            if record is not None:
                self._write_record(*record)
            self._put(offset, view)
        with self._idle:
            self._unflushed += len(view)

    def takes_flush(self) -> bool:
        """Say whether `flush` is to be called now: much isn't on the disk yet."""
        with self._idle:
            is_due = self._unflushed >= _FLUSH_EVERY and not self._is_flushing
            if is_due:
                self._is_flushing, self._unflushed = True, 0
        return is_due

    def flush(self) -> None:
        """Put on the disk what was written; what fails is told by `publish`."""
        with self._idle:
            if self._is_closing:
                return
            # A file of its own: whoever leaves doesn't wait for the disk.
            copy = os.dup(self._file.fileno())
        with contextlib.suppress(OSError):
            self._sync(copy)
        os.close(copy)
        self._is_flushing = False

    def digest(self, digest: Digest, stop: int, view: memoryview) -> None:
        """Feed what is there up to *stop*, read through the memory of *view*."""
        with self._used():
            while digest.at < stop:
                piece = view[: stop - digest.at]
                count = _read_at(self._file, digest.at, piece)
                if not count:
                    raise OSError(errno.EIO, "It was cut short by somebody else")
                digest.update(piece[:count])

    def publish(self, path: Path, size: int, *, overwrite: bool) -> None:
        """Give it its name."""
        with self._used():
            self._file.truncate(size)
            self._sync(self._file.fileno())
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
            self._is_published = True

    def close(self, keep: int | None = None) -> None:
        """Close it, and remove it unless its first *keep* bytes are to be gone on with.

        Whoever still works on it in another thread does it in the end.

        Args:
            keep: Bytes; `None` for all that are there.
        """
        with self._idle:
            self._keep, self._is_closing = keep, True
        self._close_if_idle()

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        with self._idle:
            if self._is_closing:
                raise OSError(errno.EBADF, "It is closed")
            self._users += 1
        try:
            yield
        finally:
            with self._idle:
                self._users -= 1
                self._idle.notify_all()
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        with self._idle:
            if not self._is_closing or self._users:
                return
        with contextlib.suppress(OSError):
            size = os.fstat(self._file.fileno()).st_size if self._keep is None else self._keep
            if size and self._is_found_again and not self._is_published:
                self._file.truncate(size)
            elif not self._is_published:
                self.path.unlink(missing_ok=True)
        _unlock(self._file)
        self._file.close()

    def _sync(self, fd: int) -> None:
        # One after the other: the system tells of a failure once, and whoever publishes must know.
        with self._syncing:
            try:
                os.fsync(fd)
            except OSError as error:
                self._sync_error = error
            if self._sync_error is not None:
                raise self._sync_error

    def _write_record(self, total: int, frontier: int) -> None:
        at = self._recorded_at
        if at is None or frontier >= at + min(_RECORD_EVERY, total // 100):
            self._put(total, _RECORD.pack(_MAGIC, frontier, _check(frontier)))
            self._recorded_at = frontier

    def _put(self, offset: int, data: memoryview | bytes) -> None:
        view = memoryview(data)
        while view:
            count = _write_at(self._file, offset, view)
            view, offset = view[count:], offset + count

    def _recorded(self, total: int) -> int:
        record = bytearray(_RECORD.size + 1)
        if _read_at(self._file, total, memoryview(record)) != _RECORD.size:
            return 0
        magic, frontier, check = _RECORD.unpack_from(record)
        is_good = magic == _MAGIC and check == _check(frontier) and frontier <= total
        return int(frontier) if is_good else 0


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
        digest: Digest | None,
        record: Record | None,
    ) -> None:
        """Put *view*, a piece of the lease's memory, in its place, and feed *digest* with it.

        Raises:
            DestinationError: It can't be written.
        """
        with self._translated():
            await self._threads.run_on(
                (lease,), _write_and_digest, self._opened, offset, view, digest, record
            )
        if self._partial is not None and self._partial.takes_flush():
            self._threads.flush(self._partial.flush)

    async def reread(self, digest: Digest, stop: int, lease: Lease) -> None:
        """Feed *digest* with what is there up to *stop*, read through the lease's memory.

        Raises:
            DestinationError: It can't be read.
        """
        with self._translated():
            await self._threads.run_on((lease,), self._opened.digest, digest, stop, lease.view)

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


def _write_and_digest(
    partial: Partial, offset: int, view: memoryview, digest: Digest | None, record: Record | None
) -> None:
    partial.write(offset, view, record)
    if digest is not None:
        digest.update(view)


def _check(frontier: int) -> int:
    return crc32(b"%d" % frontier)


def _write_at(opened: io.FileIO, offset: int, view: memoryview) -> int:
    if hasattr(os, "pwrite"):
        return os.pwrite(opened.fileno(), view, offset)
    with _SEEKING:  # pragma: no cover - on Windows
        opened.seek(offset)
        return opened.write(view) or 0


def _read_at(opened: io.FileIO, offset: int, view: memoryview) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(opened.fileno(), [view], offset)
    with _SEEKING:  # pragma: no cover - not on every system
        opened.seek(offset)
        return opened.readinto(view) or 0


def _claimed(path: Path, identity: str | None) -> tuple[Path, io.FileIO, bool]:
    if identity is not None:
        partial = path.with_name(f".{path.name}.{identity}.part")
        opened = io.FileIO(partial, "r+b", opener=_made_if_need_be)
        if _is_ours(opened) and _lock(opened) and partial.exists():
            return partial, opened, True
        # Another download is at it, or has just published it, or somebody has put it there.
        opened.close()
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    opened = io.FileIO(partial, "x+b", opener=_not_through_links)
    _lock(opened)
    return partial, opened, False


def _is_ours(opened: io.FileIO) -> bool:
    found = os.fstat(opened.fileno())
    is_own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    # Of two names, the other may be that of a file which mustn't be written to.
    return is_own and stat.S_ISREG(found.st_mode) and found.st_nlink <= 1


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


def _unlock(opened: io.FileIO) -> None:
    with contextlib.suppress(ImportError, OSError):
        import fcntl  # noqa: PLC0415 - not on every system

        fcntl.flock(opened, fcntl.LOCK_UN)


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
        digest: Digest | None,
        record: Record | None,  # noqa: ARG002 - the same
    ) -> None:
        """Feed *digest* with *view*, a piece of the lease's memory, and hand it on.

        Raises:
            DestinationError: It can't be written.
        """
        assert digest is not None
        await self._threads.run_on((lease,), digest.update, view)
        data = bytes(view)
        try:
            if self._is_async:
                await self._writer.write(data)
            else:
                await self._threads.run(self._write_all, data)
        except (OSError, ValueError) as error:
            # A closed file says so with a ValueError.
            raise DestinationError(
                f"The destination can't be written after {self._written} bytes: {error}"
            ) from error
        self._written += len(data)

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
            count = self._writer.write(view)
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


def _not_through_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _made_if_need_be(path: str, flags: int) -> int:
    return _not_through_links(path, flags | os.O_CREAT)


def _exists(path: Path) -> DestinationError:
    return DestinationError(
        f"{path} exists already, and was left as it is: give another path or overwrite=True"
    )
