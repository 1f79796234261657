"""Opens files by their paths, and reads all of a small one; called in threads."""

from __future__ import annotations

import contextlib
import io
import os
import stat

import attrs

from domo_files_async.errors import SourceChangedError

__all__ = ("Opened", "changed", "file_state", "open_file")

_TO_READ = os.O_RDONLY | sum(
    getattr(os, flag, 0) for flag in ("O_BINARY", "O_CLOEXEC", "O_NOINHERIT")
)
_NOT_BLOCKING = getattr(os, "O_NONBLOCK", 0)


@attrs.frozen
class Opened:
    """An open file, or all of a small one, which is closed again."""

    raw: io.FileIO | None
    status: os.stat_result
    content: bytes | None

    @property
    def comes_once(self) -> bool:
        """Whether it can't be read again."""
        # What holds bytes although it says that it is empty can't be read again either.
        return not stat.S_ISREG(self.status.st_mode) or not self.status.st_size

    @property
    def is_pipe(self) -> bool:
        """Whether it is a named pipe, which is open without blocking."""
        return stat.S_ISFIFO(self.status.st_mode) and bool(_NOT_BLOCKING)

    def close(self) -> None:
        """Close it, if it is open."""
        if self.raw is not None:
            self.raw.close()


def open_file(what: str, small: int) -> Opened:
    """Open a file, and read all of a small one.

    A thread that reads many takes the interpreter's lock anew after each system call, so there are
    as few of them as can be.
    """
    try:
        # A named pipe would wait for its writer here.
        fd = os.open(what, _TO_READ | _NOT_BLOCKING)
    except BlockingIOError:  # another process has a lease on it, and is asked to let go of it
        fd = os.open(what, _TO_READ)
    try:
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_size <= small:
            content = _read_whole(fd, status, what)
            if content is not None:
                os.close(fd)
                return Opened(None, status, content)
        if _NOT_BLOCKING and not stat.S_ISFIFO(status.st_mode):
            os.set_blocking(fd, True)
        return Opened(io.FileIO(fd), status, None)
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise


def _read_whole(fd: int, status: os.stat_result, what: str) -> bytes | None:
    """Read a small file; give `None` for one that holds bytes although it says that it is empty.

    Such are the system's own files, as in /proc.
    """
    content = os.read(fd, status.st_size + 1)
    if content and not status.st_size:
        os.lseek(fd, 0, os.SEEK_SET)
        return None
    if len(content) != status.st_size or file_state(os.fstat(fd)) != file_state(status):
        raise changed(what)
    return content


def changed(what: str) -> SourceChangedError:
    """Say that a file isn't what it was when its upload began."""
    return SourceChangedError(
        f"{what} was changed while it was uploaded; nothing was committed. "
        "Upload it again once nobody writes to it"
    )


def file_state(status: os.stat_result) -> object:
    """Give what differs once a file was changed."""
    return status.st_size, status.st_mtime_ns
