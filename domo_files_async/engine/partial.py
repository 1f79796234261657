"""A file that a download goes into until it is whole, and has another name.

Rule 1: a hidden file beside the destination, locked by whoever writes it.
Rule 2: publishing never replaces what was not there to be replaced, also if it came meanwhile.
Rule 3: symbolic links at the destination are replaced, never written through.
"""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import secrets
import stat
import struct
import threading
from typing import TYPE_CHECKING, TypeAlias
from zlib import crc32

from domo_files_async.engine.digest import DigestBeside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from domo_files_async.engine.digest import Begin, Digest
    from domo_files_async.transport.reply import Receive

__all__ = ("Partial", "Record")

_RECORD = struct.Struct("<8sQI")
_MAGIC = b"frontier"
_SEEKING = threading.Lock()

_PIECES = 4
"""Pieces of memory: one is received into, one is being digested, and others are next."""

_RECORD_EVERY = 8 * 1024 * 1024
"""Bytes by which a record may be behind, or a hundredth of the file: what a kill may lose."""

_FLUSH_EVERY = 32 * 1024 * 1024
"""Bytes after which they are put on the disk, beside what goes on: not all at the end."""

Record: TypeAlias = "tuple[int, int]"
"""Bytes of the whole file, and offset up to which all of them are there."""


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
        # The system lets one write at a time to a file, and whoever waits there spins.
        self._writing = threading.Lock()
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

    def write(
        self, offset: int, view: memoryview, *, digest: Digest, record: Record | None
    ) -> None:
        """Put *view* in its place, and feed *digest* with it if that comes next.

        Args:
            offset: Its place.
            view: The bytes.
            digest: Of the whole file.
            record: What is there, unless bytes come in order.
        """
        self._put_on_record(offset, view, record)
        if digest.claim(offset):
            digest.update(view)
            digest.release()

    def receive(
        self,
        receive: Receive,
        offset: int,
        size: int,
        view: memoryview,
        *,
        digest: Digest,
        record: Record | None,
        begin: Begin,
    ) -> None:
        """Put what is received in its place, piece by piece, while those before are digested.

        Args:
            receive: Fills a piece, or as much of it as comes soon.
            offset: The place of the first byte.
            size: Bytes to receive.
            view: Memory for the pieces.
            digest: Of the whole file.
            record: What is there, unless bytes come in order.
            begin: Calls a function in another thread.
        """
        stop, length = offset + size, len(view) // _PIECES
        goes_on = record is not None and record[1] == offset
        beside: DigestBeside | None = None
        # Used all the time: nobody may begin anew while another piece could still come.
        with self._used(), contextlib.ExitStack() as ending:
            for start in itertools.cycle(range(0, length * _PIECES, length)):
                if beside is not None:
                    beside.wait(_PIECES - 1)
                piece = view[start : start + min(length, stop - offset)]
                count = receive(piece)
                if count:
                    now = (record[0], offset) if record is not None and goes_on else record
                    self._put_on_record(offset, piece[:count], now)
                    if beside is None and digest.claim(offset):
                        beside = DigestBeside(digest, begin)
                        ending.callback(beside.close)
                    if beside is not None:
                        beside.put(piece[:count])
                offset += count
                if count < len(piece) or offset == stop:
                    break

    def _put_on_record(self, offset: int, view: memoryview, record: Record | None) -> None:
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
        with self._writing:
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


def _not_through_links(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _made_if_need_be(path: str, flags: int) -> int:
    return _not_through_links(path, flags | os.O_CREAT)
