"""What became of a request whose answer was lost, judged by what the server has now.

Rule 1: made is only what exactly one trace shows, younger than the request by the server's clock.
Rule 2: nothing seen proves nothing: answers may lag.
Rule 3: clock readings are arguments; the server's time is estimated from its Date headers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from domo_files_async.config import RetryPolicy
    from domo_files_async.models import DataFile, Revision

__all__ = (
    "Ambiguous",
    "Evidence",
    "Made",
    "NotSeen",
    "ServerClock",
    "Sought",
    "judge_new_file",
    "judge_new_revision",
    "look_delays",
)

_SECOND = timedelta(seconds=1)
_DISAGREEMENT = timedelta(seconds=2)


@attrs.frozen
class Made:
    """Exactly one trace: the request was carried out."""

    data_file_id: int
    revision_id: int | None


@attrs.frozen
class NotSeen:
    """No trace, which proves nothing yet."""


@attrs.frozen
class Ambiguous:
    """Traces that could be ours or another's; *seen* says which."""

    seen: str


Evidence: TypeAlias = Made | NotSeen | Ambiguous


@attrs.frozen(kw_only=True)
class Sought:
    """What a request of ours would have left.

    Attributes:
        name: The new data file's name; `None` where the server chooses it.
        size: Bytes of the content; `None` where unknown.
        sha256: Of the content; `None` where unknown.
        since: The earliest time of the server's at which it can have happened.
        known: Ids that are there for another reason.
    """

    name: str | None
    size: int | None
    sha256: str | None
    since: datetime | None
    known: Set[int]


class ServerClock:
    """The server's clock, as far as the Date headers of its replies tell it.

    A Date is cut to the second, so that each one bounds the clock from both sides, and many
    together bound it narrowly. All local readings are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._low: datetime | None = None
        self._high: datetime | None = None
        self._slack = timedelta()

    def observe(self, date: datetime, sent: float, received: float) -> None:
        """Take note of a reply's Date.

        Args:
            date: The header, aware.
            sent: When its request was begun.
            received: When the reply's head was there.
        """
        low = date - timedelta(seconds=received)
        high = date + _SECOND - timedelta(seconds=sent)
        if self._low is None or self._high is None:
            self._low, self._high = low, high
        elif low > self._high or high < self._low:
            # It was set, or several clocks answer under one name.
            self._low, self._high, self._slack = low, high, _DISAGREEMENT
        else:
            self._low, self._high = max(low, self._low), min(high, self._high)

    def since(self, local: float) -> datetime | None:
        """Give the earliest that the server's clock can have shown at *local*."""
        if self._low is None:
            return None
        return self._low - self._slack + timedelta(seconds=local)


def judge_new_file(sought: Sought, files: Iterable[DataFile]) -> Evidence:
    """Look for the data file that a request would have made."""
    found = []
    for file in files:
        if file.data_file_id in sought.known or sought.name not in {None, file.name}:
            continue
        revision = _first_alike(sought, file)
        if revision is not None:
            created = file.datetime_created or revision.datetime_uploaded
            made = Made(file.data_file_id, revision.data_file_revision_id)
            found.append((f"data file {file.data_file_id}", created, made))
    return _judge(sought, found)


def judge_new_revision(
    sought: Sought, data_file_id: int, revisions: Iterable[Revision]
) -> Evidence:
    """Look for the revision of a data file that a request would have made."""
    found = []
    for revision in revisions:
        number = revision.data_file_revision_id
        if number not in sought.known and _is_alike(sought, revision):
            made = Made(data_file_id, number)
            found.append((f"revision {number}", revision.datetime_uploaded, made))
    return _judge(sought, found)


def look_delays(policy: RetryPolicy) -> tuple[float, ...]:
    """Say how many seconds to wait before each look: one look more than there are attempts."""
    waits = (
        min(policy.max_backoff, policy.initial_backoff * 2.0 ** min(look, 60))
        for look in range(policy.max_attempts)
    )
    return (0.0, *waits)


def _judge(sought: Sought, found: list[tuple[str, datetime | None, Made]]) -> Evidence:
    undated = [label for label, when, _ in found if when is None or sought.since is None]
    young = [
        (label, made)
        for label, when, made in found
        if when is not None and sought.since is not None and when >= sought.since
    ]
    if undated:
        return Ambiguous(f"it can't be told how old {', '.join(undated)} is")
    if len(young) > 1:
        labels = ", ".join(label for label, _ in young)
        return Ambiguous(f"{labels} look alike, and are all young enough")
    return young[0][1] if young else NotSeen()


def _first_alike(sought: Sought, file: DataFile) -> Revision | None:
    # Somebody may have added a revision since: then ours is the oldest that fits.
    revisions = {one.data_file_revision_id: one for one in file.revisions or ()}
    if file.current_revision is not None:
        revisions[file.current_revision.data_file_revision_id] = file.current_revision
    alike = (one for one in revisions.values() if _is_alike(sought, one))
    return min(alike, key=lambda one: one.data_file_revision_id, default=None)


def _is_alike(sought: Sought, revision: Revision) -> bool:
    has = revision.sha256_hash_value
    if sought.sha256 is not None and has is not None and has.lower() != sought.sha256.lower():
        return False
    return sought.size is None or revision.size_bytes == sought.size
