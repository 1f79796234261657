"""The digest of a whole file, fed from its beginning on, and compared with what the server says.

Rule: whoever feeds it has claimed it, which only one can who has the bytes that are next.
"""

from __future__ import annotations

import hashlib
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from domo_files_async.models import Revision

__all__ = ("Begin", "Digest", "DigestBeside")

Begin: TypeAlias = "Callable[[Callable[[], object]], Future[object]]"
"""Begins to call a function in another thread."""


class Digest:
    """SHA-256 of a file, and MD5 where the server knows nothing better.

    Args:
        revision: What the server says that it has; `None` for nothing.

    Attributes:
        at: Bytes that were digested; the next one has this offset.
        is_claimed: Whether somebody feeds it.
    """

    def __init__(self, revision: Revision | None) -> None:
        self.at = 0
        self.is_claimed = False
        self._claiming = threading.Lock()
        self._sha256 = hashlib.sha256()
        self._md5 = None
        if revision and revision.sha256_hash_value is None and revision.md5_hash is not None:
            self._md5 = hashlib.md5(usedforsecurity=False)

    def claim(self, at: int) -> bool:
        """Begin to feed it with what comes at offset *at*; say whether that may be done."""
        with self._claiming:
            may = not self.is_claimed and self.at == at
            self.is_claimed |= may
        return may

    def release(self) -> None:
        """Let others feed it."""
        self.is_claimed = False

    def update(self, view: memoryview) -> None:
        """Digest *view*."""
        self._sha256.update(view)
        if self._md5 is not None:
            self._md5.update(view)
        self.at += len(view)

    @property
    def sha256(self) -> str:
        """In lower-case hex."""
        return self._sha256.hexdigest()

    def difference(self, revision: Revision) -> tuple[str, str] | None:
        """Give what was expected and what came, where these differ."""
        if revision.size_bytes is not None and revision.size_bytes != self.at:
            return f"{revision.size_bytes} bytes", f"{self.at}"
        if revision.sha256_hash_value is not None:
            expected, actual = revision.sha256_hash_value.lower(), self.sha256
        elif revision.md5_hash is not None and self._md5 is not None:
            expected, actual = revision.md5_hash.lower(), self._md5.hexdigest()
        else:
            return None
        return None if expected == actual else (expected, actual)


class DigestBeside:
    """Feeds a digest in another thread than the one that has the bytes, until it is closed.

    Args:
        digest: Claimed by whoever makes this.
        begin: Calls a function in another thread.
    """

    def __init__(self, digest: Digest, begin: Begin) -> None:
        self._digest = digest
        self._coming: SimpleQueue[memoryview | None] = SimpleQueue()
        self._done: SimpleQueue[memoryview | None] = SimpleQueue()
        self._under_way = 0
        try:
            self._job = begin(self._run)
        except BaseException:
            digest.release()
            raise
        # Also where it never ran, since the threads ended.
        self._job.add_done_callback(lambda _: self._done.put(None))

    def put(self, view: memoryview) -> None:
        """Feed *view* after what was put before; in use until it was waited for."""
        self._under_way += 1
        self._coming.put(view)

    def wait(self, most: int) -> None:
        """Wait until at most so many of what was put are still in use.

        Raises:
            CancelledError: The threads have ended.
        """
        while self._under_way > most:
            if self._done.get() is None:
                self._job.result()
            self._under_way -= 1

    def close(self) -> None:
        """Wait until nothing is in use, and let others feed the digest.

        Raises:
            CancelledError: The threads have ended.
        """
        self._coming.put(None)
        try:
            self._job.result()
        finally:
            self._digest.release()

    def _run(self) -> None:
        while (view := self._coming.get()) is not None:
            self._digest.update(view)
            self._done.put(view)
