"""The digest of a whole file, fed from its beginning on, and compared with what the server says."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domo_files_async.models import Revision

__all__ = ("Digest",)


class Digest:
    """SHA-256 of a file, and MD5 where the server knows nothing better.

    Args:
        revision: What the server says that it has; `None` for nothing.

    Attributes:
        at: Bytes that were digested; the next one has this offset.
    """

    def __init__(self, revision: Revision | None) -> None:
        self.at = 0
        self._sha256 = hashlib.sha256()
        self._md5 = None
        if revision and revision.sha256_hash_value is None and revision.md5_hash is not None:
            self._md5 = hashlib.md5(usedforsecurity=False)

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
