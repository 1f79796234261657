"""Opens files by their paths, and reads all of a small one; called in threads."""

from __future__ import annotations

import contextlib
import io
import os
import stat

import attrs

from domo_files_async.engine.shelf import (
    NOT_BLOCKING,
    PathFile,
    Shelf,
    changed,
    file_state,
    open_to_read,
)

__all__ = ("Opened", "open_file")


@attrs.frozen(kw_only=True)
class Opened:
    """What was opened.

    Attributes:
        content: All of a small file, which is closed again.
        file: A larger one.
        once: What can't be read again.
        is_pipe: Whether that is a named pipe, which is open without blocking.
    """

    content: bytes | None = None
    file: PathFile | None = None
    once: io.FileIO | None = None
    is_pipe: bool = False

    def close(self) -> None:
        """Close it, if it is open."""
        opened = self.file or self.once
        if opened is not None:
            opened.close()


def open_file(what: str, small: int, shelf: Shelf) -> Opened:
    """Open a file, and read all of a small one.

    A thread that reads many takes the interpreter's lock anew after each system call, so there are
    as few of them as can be.
    """
    fd = open_to_read(what)
    try:
        status = os.fstat(fd)
        is_file = stat.S_ISREG(status.st_mode)
        if is_file and status.st_size <= small:
            content = _read_whole(fd, status, what)
            if content is not None:
                os.close(fd)
                return Opened(content=content)
        is_pipe = stat.S_ISFIFO(status.st_mode) and bool(NOT_BLOCKING)
        if NOT_BLOCKING and not is_pipe:
            os.set_blocking(fd, True)
        raw = io.FileIO(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    # What holds bytes although it says that it is empty can't be read again either.
    if is_file and status.st_size:
        return Opened(file=PathFile(shelf, what, raw, status))
    return Opened(once=raw, is_pipe=is_pipe)


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
