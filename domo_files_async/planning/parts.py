"""Which parts a source is cut into.

Nothing here reads; sizes are arguments.
"""

from __future__ import annotations

import attrs

from domo_files_async.config import MAX_PARTS, MIB
from domo_files_async.errors import InvalidArgumentError, SourceTooLargeError

__all__ = (
    "DEFAULT_PART_SIZE",
    "MAX_PARTS",
    "Part",
    "PartPlan",
    "check_stream_part_size",
    "plan_parts",
    "plan_single_read",
    "stream_ceiling",
    "stream_part_size",
)

DEFAULT_PART_SIZE = 16 * MIB
"""Bytes in a part unless something else is asked, or needed."""

_GROWS_EVERY = 1_000
"""After so many parts, a stream's parts double."""


@attrs.frozen
class Part:
    """A piece of a source.

    Attributes:
        index: From 1.
        offset: Bytes before it.
        size: Bytes in it.
    """

    index: int
    offset: int
    size: int


@attrs.frozen
class PartPlan:
    """How a source of known size is cut; parts are computed when they are asked for.

    Attributes:
        size: Bytes in the source.
        part_size: Bytes in each part but the last.
    """

    size: int
    part_size: int

    @property
    def count(self) -> int:
        """How many parts there are; an empty source has one empty part."""
        return max(1, -(-self.size // self.part_size))

    def part(self, index: int) -> Part:
        """Give the part with this index, from 1 to `count`."""
        if not 1 <= index <= self.count:
            raise IndexError(f"There is no part {index} among {self.count}")
        offset = (index - 1) * self.part_size
        return Part(index, offset, min(self.part_size, self.size - offset))


def plan_parts(size: int, *, part_size: int | None = None) -> PartPlan:
    """Cut *size* bytes into parts of one size, the last one shorter.

    Args:
        size: Bytes in the source; 0 gives one empty part.
        part_size: Bytes in each part but the last. By default 16 MiB, or the next MiB with which
            10,000 parts hold the source.

    Returns:
        A plan that is cheap to keep: it stores two numbers, and computes each part.

    Raises:
        InvalidArgumentError: *part_size* is below 1, or would need more than 10,000 parts; the
            message names the smallest size that would do.

    Source: Multi-part Files API, "Uploading File Parts".
    """
    smallest = -(-size // MAX_PARTS)
    if part_size is None:
        return PartPlan(size, max(DEFAULT_PART_SIZE, -(-smallest // MIB) * MIB))
    _check_part_size(part_size)
    if part_size < smallest:
        raise InvalidArgumentError(
            f"{size} bytes in parts of {part_size} would be {-(-size // part_size)} parts, and "
            f"there can be {MAX_PARTS}: a part_size of at least {smallest} would do"
        )
    return PartPlan(size, part_size)


def plan_single_read(size: int, *, part_size: int | None, memory_budget: int) -> PartPlan:
    """Cut a source of known size that can't be read again, so that each part can be held.

    Args:
        size: Bytes in the source; 0 gives one empty part.
        part_size: Bytes in each part but the last. By default as in `plan_parts`, but never above
            the budget's share.
        memory_budget: Bytes that the session may hold.

    Returns:
        A plan as `plan_parts` gives it.

    Raises:
        InvalidArgumentError: *part_size* is below 1, above the budget, or would need more than
            10,000 parts.
        SourceTooLargeError: 10,000 parts of the budget's share can't hold the source.
    """
    if part_size is not None:
        check_stream_part_size(part_size, memory_budget)
        return plan_parts(size, part_size=part_size)
    ceiling = stream_ceiling(memory_budget)
    if size > MAX_PARTS * ceiling:
        raise SourceTooLargeError(
            f"The source has {size} bytes, and {MAX_PARTS} parts within the memory_budget of "
            f"{memory_budget} hold {MAX_PARTS * ceiling}; nothing was sent. Give a larger "
            "memory_budget, or a source that can be read again, such as a path"
        )
    return PartPlan(size, min(plan_parts(size).part_size, ceiling))


def stream_part_size(index: int, *, asked: int | None, ceiling: int) -> int:
    """Say how many bytes the part *index* of a stream has, unless the stream ends in it.

    Unless asked otherwise parts double every 1,000, so that a stream whose size nobody knows
    seldom meets the limit of 10,000.

    Args:
        index: From 1.
        asked: Bytes in each part, where the caller asked for a size.
        ceiling: Bytes to which a part may grow by itself, since it is held while it is sent.

    Raises:
        SourceTooLargeError: *index* is above 10,000; the message says how much would have fitted.
    """
    if index > MAX_PARTS:
        room = sum(
            stream_part_size(part, asked=asked, ceiling=ceiling) for part in range(1, MAX_PARTS + 1)
        )
        raise SourceTooLargeError(
            f"The stream has more than the {room} bytes that {MAX_PARTS} parts hold; nothing was "
            "committed. Give a larger part_size or memory_budget, or a source that can be read "
            "again, such as a path"
        )
    if asked is not None:
        return asked
    doublings: int = (index - 1) // _GROWS_EVERY
    return max(1, min(ceiling, DEFAULT_PART_SIZE << doublings))


def stream_ceiling(memory_budget: int) -> int:
    """Say to how many bytes a stream's parts may grow by themselves: half of the budget."""
    return max(1, memory_budget // 2)


def check_stream_part_size(asked: int, memory_budget: int) -> None:
    """Refuse parts that couldn't be held.

    Args:
        asked: Bytes in each part.
        memory_budget: Bytes that the session may hold.

    Raises:
        InvalidArgumentError: *asked* is below 1 or above the budget.
    """
    _check_part_size(asked)
    if asked > memory_budget:
        raise InvalidArgumentError(
            f"A source that can't be read again holds each part while it is sent: parts of "
            f"{asked} bytes don't fit into the memory_budget of {memory_budget}. Ask for smaller "
            "parts, or give a larger budget"
        )


def _check_part_size(part_size: object) -> None:
    if isinstance(part_size, bool) or not isinstance(part_size, int) or part_size < 1:
        raise InvalidArgumentError(
            f"part_size must be a whole number of at least 1 byte, not {part_size!r}"
        )
