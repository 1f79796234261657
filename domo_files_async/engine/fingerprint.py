"""What tells that a source is the one that an earlier run read.

A file is known by its path, and to be unchanged by its size, its time of change and its inode.
What has no path is known by the SHA-256 of all of it, which costs one more reading.
"""

from __future__ import annotations

import inspect
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from domo_files_async.engine.source import BytesSource, StreamSource
from domo_files_async.errors import InvalidArgumentError, SourceChangedError

if TYPE_CHECKING:
    from domo_files_async.engine.shared import Shared
    from domo_files_async.engine.source import Source, UploadInput

__all__ = ("Fingerprint", "fingerprint", "read_status")


@attrs.frozen
class Fingerprint:
    """A source as a journal knows it.

    Attributes:
        identity: What tells it from others.
        state: What differs once it was changed.
    """

    identity: str
    state: str


async def read_status(shared: Shared, given: UploadInput) -> Fingerprint | None:
    """Look at a file that is given by its path or as an open one; `None` where it is neither."""
    return await shared.threads.run(_status, given)


async def fingerprint(
    shared: Shared, given: UploadInput, source: Source, before: Fingerprint | None
) -> Fingerprint:
    """Give the fingerprint of an opened source.

    Args:
        shared: The session's tools.
        given: What the caller gave.
        source: The same, opened.
        before: What `read_status` gave before it was opened.

    Raises:
        InvalidArgumentError: It comes once.
        SourceChangedError: It was replaced while it was opened.
    """
    if isinstance(source, StreamSource):
        raise InvalidArgumentError(
            "A journal is for what can be read again after the process died: give a path, bytes "
            "or a seekable file, or leave the journal out"
        )
    if before is not None:
        if await shared.threads.run(_status, given) != before:
            raise SourceChangedError(
                f"{json.loads(before.identity)[1]} was changed while it was opened; nothing was "
                "sent. Upload it again once nobody writes to it"
            )
        return before
    if isinstance(source, BytesSource):
        digest = await shared.threads.sha256_hex((), [source.view])
    else:
        with await shared.buffers.lease(2 * shared.buffers.chunk) as lease:
            digest = await source.digest(0, source.size, lease)
    return Fingerprint(json.dumps(["content", digest]), json.dumps([source.size]))


def _status(given: Any) -> Fingerprint | None:
    if hasattr(given, "file") and hasattr(given, "filename"):
        given = given.file
    try:
        if isinstance(given, str | os.PathLike):
            return _of_path(os.fspath(given), 0, Path(given).stat())
        # A spooled file moves to the disk when it is asked for its descriptor, and an
        # asynchronous one can't be asked here where it stands.
        if not (hasattr(given, "rollover") or inspect.iscoroutinefunction(given.tell)):
            return _of_path(given.name, given.tell(), os.fstat(given.fileno()))
    except (AttributeError, OSError, TypeError, ValueError):
        # Whoever opens it says what is wrong with it.
        return None
    return None


def _of_path(path: Any, start: int, status: os.stat_result) -> Fingerprint | None:
    if not isinstance(path, str) or not stat.S_ISREG(status.st_mode):
        return None
    real = Path(path).resolve()
    # An open file's name may lead to another one by now.
    if not os.path.samestat(real.stat(), status):
        return None
    state = [status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino]
    return Fingerprint(json.dumps(["path", str(real), start]), json.dumps(state))
