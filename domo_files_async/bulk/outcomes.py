"""How an item ended, as a value."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from domo_files_async.bulk.items import Item
    from domo_files_async.bulk.plan import Action, Failure
    from domo_files_async.errors import DomoFilesError

__all__ = ("Outcome", "Planned", "Status", "bare")


class Status(enum.StrEnum):
    """How an item ended."""

    UPLOADED = "uploaded"
    REVISED = "revised"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """Whether it is there can't be known; it isn't sent again until somebody resolves it."""


@attrs.frozen(kw_only=True)
class Outcome:
    """How an item ended; in the journal before anybody sees it.

    Attributes:
        item: The item.
        status: How it ended.
        data_file_id: The data file that it is in, if any.
        revision_id: Its revision there, where the API said it.
        error: What it failed with; of an earlier run, and of what is told at the end of one in
            which very many failed, the words only.
        failure: What can be done about it: `"later"`, `"never"` or `"person"`.
        because: Why it was skipped, or what to know of it besides.
        size_bytes: Bytes that were sent.
        sha256: Of them, in lower-case hex, where it was computed.
        attempts: How often the uploads that succeeded sent parts, or their one body. What was found
            by looking counts once at most, and what failed doesn't. Of what the journal tells, such
            as what was done before, the sum that it kept of all runs.
        elapsed: Seconds.
    """

    item: Item
    status: Status
    data_file_id: int | None = None
    revision_id: int | None = None
    error: DomoFilesError | None = None
    failure: Failure | None = None
    because: str = ""
    size_bytes: int | None = None
    sha256: str | None = None
    attempts: int = 0
    elapsed: float = 0.0


@attrs.frozen(kw_only=True)
class Planned:
    """What a run would do with an item.

    Attributes:
        item: The item.
        action: `"upload"`, `"revise"`, `"access"` (it is there, and only its access and its grants
            are left to set) or `"skip"`.
        because: Why.
        data_file_id: The data file that would be revised, or that it is already.
    """

    item: Item
    action: Action
    because: str
    data_file_id: int | None = None


def bare(error: DomoFilesError) -> DomoFilesError:
    """Give an error without the frames that it came through, and the memory that they hold."""
    left: list[BaseException] = [error]
    seen = set()
    while left:
        one = left.pop()
        seen.add(id(one))
        one.__traceback__ = None
        linked = (one.__cause__, one.__context__, getattr(one, "cause", None))
        left += [x for x in linked if isinstance(x, BaseException) and id(x) not in seen]
    return error
