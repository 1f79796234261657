"""Which bytes of a file are still to be fetched, and whether they are still the same file's.

Rule 1: ranges are taken lowest first, so that what is there is nearly contiguous.
Rule 2: none is taken far ahead of the frontier, up to which all bytes are there: what is beyond it
is lost when a download ends early, and is read a second time for the digest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("AHEAD", "RANGE_SIZE", "ByteRange", "Ranges", "Validators")

ByteRange: TypeAlias = "tuple[int, int | None]"
"""Offset of the first byte, and offset after the last one; `None` for the end of the file."""

_STRONG = re.compile(r'"[\x21\x23-\x7e]*"')

RANGE_SIZE = 16 * 1024 * 1024
"""Bytes of one range, unless asked otherwise."""

AHEAD = 64
"""Ranges that may be taken beyond the frontier."""


class Ranges:
    """What of a file is there, and which ranges were taken to be fetched.

    Args:
        size: Bytes in the file; `None` while unknown.
        there: Bytes from the beginning on that are there already.
        range_size: Bytes of a range; `None` to give all that is left as one.

    Attributes:
        size: Bytes in the file; `None` while unknown.
        frontier: Offset up to which all bytes are there.
        kept: How many bytes are there.
    """

    def __init__(self, size: int | None, *, there: int = 0, range_size: int | None = None) -> None:
        self.size = size
        self.frontier = there
        self.kept = there
        self._range_size = range_size
        self._next: int | None = there
        self._beyond: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Ranges {self.kept} of {self.size}, all to {self.frontier}>"

    @property
    def is_all_taken(self) -> bool:
        """Whether nothing is left to be taken."""
        return self._next is None

    @property
    def has_room(self) -> bool:
        """Whether the next range isn't too far ahead of the frontier."""
        if self._next is None or self._range_size is None:
            return True
        return self._next < self.frontier + AHEAD * self._range_size

    def take(self, times: int = 1) -> ByteRange:
        """Give the next range to fetch, *times* as long as others; there must be one."""
        assert self._next is not None
        if self._range_size is None:
            return self.take_rest()
        start = self._next
        return self._taken(start, start + times * self._range_size)

    def take_rest(self) -> ByteRange:
        """Give all that wasn't taken yet; there must be some."""
        assert self._next is not None
        return self._taken(self._next, self.size)

    def keep(self, start: int, stop: int) -> None:
        """Take note that the bytes from *start* to *stop*, not there before, are there now."""
        assert self.frontier <= start < stop
        assert start not in self._beyond
        self._beyond[start] = stop
        self.kept += stop - start
        while (reached := self._beyond.pop(self.frontier, None)) is not None:
            self.frontier = reached

    def _taken(self, start: int, stop: int | None) -> ByteRange:
        if stop is None or self.size is None or stop >= self.size:
            self._next = None
            return start, self.size
        self._next = stop
        return start, stop


@attrs.frozen
class Validators:
    """What tells whether two replies speak of the same bytes.

    Attributes:
        etag: The `ETag` header; `None` where there is none.
        last_modified: The `Last-Modified` header; `None` where there is none.
        total: Bytes in the whole file; `None` where the server doesn't say.
    """

    etag: str | None
    last_modified: str | None
    total: int | None

    @classmethod
    def read(cls, headers: Mapping[str, str], total: int | None) -> Validators:
        """Read them from a reply's headers."""
        return cls(headers.get("etag"), headers.get("last-modified"), total)

    @property
    def if_range(self) -> str | None:
        """What a request for a range may be made to depend on; `None` where nothing is sure enough.

        Source: RFC 9110, section 13.1.5.
        """
        return self.etag if self.etag and _STRONG.fullmatch(self.etag) else None

    def differ(self, other: Validators) -> bool:
        """Say whether a later reply speaks of other bytes: whatever both name has to be equal."""
        if self.total is not None and other.total is not None and self.total != other.total:
            return True
        if self.etag is not None and other.etag is not None:
            return _opaque(self.etag) != _opaque(other.etag)
        if self.last_modified is not None and other.last_modified is not None:
            return self.last_modified != other.last_modified
        return False


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/")
