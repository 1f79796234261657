"""Files that uploads have opened by their paths: only so many that nobody reads stay open.

A thousand uploads that wait for their turn would else use up what a process may have open.
"""

from __future__ import annotations

import io
import os
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from domo_files_async.errors import SourceChangedError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ("NOT_BLOCKING", "PathFile", "Shelf", "changed", "file_state", "open_to_read")

_MOST = 256
_TO_READ = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_BINARY", "O_CLOEXEC", "O_NOINHERIT")
)
NOT_BLOCKING: Final = getattr(os, "O_NONBLOCK", 0)


class Shelf:
    """Open files that nobody reads, the longest idle first; used by the loop and by threads."""

    def __init__(self) -> None:
        self._idle: OrderedDict[PathFile, None] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, file: PathFile) -> None:
        """Keep a file open that nobody reads; the one that did so longest is closed for it."""
        with self._lock:
            self._idle[file] = None
            oldest = self._idle.popitem(last=False)[0] if len(self._idle) > _MOST else None
        if oldest is not None:
            oldest.put_away()

    def take(self, file: PathFile) -> None:
        """Count a file as read, or as closed."""
        with self._lock:
            self._idle.pop(file, None)


class PathFile:
    """A regular file, read from any offset by any number of threads; it may be closed in between.

    Args:
        shelf: Where it is while nobody reads it.
        what: Its path.
        raw: The file, open.
        status: Of *raw*.

    Attributes:
        size: Bytes that it had.
        first_state: What `state` gave at first.
    """

    def __init__(self, shelf: Shelf, what: str, raw: io.FileIO, status: os.stat_result) -> None:
        self._shelf = shelf
        self._what = what
        self.size = status.st_size
        self.first_state = file_state(status)
        self._raw: io.FileIO | None = raw
        self._identity = _identity(status)
        self._readers = 0
        self._is_over = False
        self._lock = threading.Lock()
        shelf.put(self)

    @contextmanager
    def opened(self) -> Iterator[io.FileIO]:
        """Give the file, open; called in a thread.

        Raises:
            SourceChangedError: Another file is there now, or what is there was changed.
            OSError: It can't be opened any more.
            ValueError: It was closed for good.
        """
        raw = self._begin()
        try:
            yield raw
        finally:
            with self._lock:
                self._readers -= 1
                is_idle = not self._readers
            if is_idle:
                self._shelf.put(self)
            if self._is_over:
                self._shelf.take(self)
                with self._lock:
                    self._close_idle()

    def _begin(self) -> io.FileIO:
        with self._lock:
            if self._is_over:
                raise ValueError("the upload has ended")
            if self._raw is None:
                self._raw = self._reopened()
            self._readers += 1
            self._shelf.take(self)
            return self._raw

    def _reopened(self) -> io.FileIO:
        raw = io.FileIO(open_to_read(self._what))
        if NOT_BLOCKING:
            os.set_blocking(raw.fileno(), True)
        if _identity(os.fstat(raw.fileno())) != self._identity:
            raw.close()
            raise changed(self._what)
        return raw

    def read_at(self, offset: int, view: memoryview) -> int:
        """Read into *view* from *offset*; called in a thread, raises as `opened` does."""
        with self.opened() as raw:
            if hasattr(os, "preadv"):
                return os.preadv(raw.fileno(), [view], offset)
            with self._lock:
                raw.seek(offset)
                return raw.readinto(view) or 0

    def state(self) -> object:
        """Give what differs once it was changed; called in a thread, raises as `opened` does."""
        with self.opened() as raw:
            return file_state(os.fstat(raw.fileno()))

    def put_away(self) -> None:
        """Close it until it is read again, unless it is read."""
        # Whoever has it now is about to read it.
        if self._lock.acquire(blocking=False):
            try:
                self._close_idle()
            finally:
                self._lock.release()

    def close(self) -> None:
        """Close it for good, at once or when nobody reads it any more; doesn't wait."""
        self._is_over = True
        self._shelf.take(self)
        self.put_away()

    def _close_idle(self) -> None:
        if not self._readers and self._raw is not None:
            self._raw.close()
            self._raw = None


def open_to_read(what: str) -> int:
    """Open a file without blocking, where the system can; give its descriptor."""
    try:
        # A named pipe would wait for its writer here.
        return os.open(what, _TO_READ | NOT_BLOCKING)
    except BlockingIOError:  # another process has a lease on it, and is asked to let go of it
        return os.open(what, _TO_READ)


def changed(what: str) -> SourceChangedError:
    """Say that a file isn't what it was when its upload began."""
    return SourceChangedError(
        f"{what} was changed while it was uploaded; nothing was committed. "
        "Upload it again once nobody writes to it"
    )


def file_state(status: os.stat_result) -> object:
    """Give what differs once a file was changed."""
    return status.st_size, status.st_mtime_ns


def _identity(status: os.stat_result) -> object:
    return status.st_dev, status.st_ino, file_state(status)
