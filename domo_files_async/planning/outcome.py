"""What became of a request whose answer was lost, judged by what the server has now.

Rule 1: made is only what exactly one trace shows, younger than the request by the server's clock.
Rule 2: nothing seen proves nothing: answers may lag.
Rule 3: what can't be dated may be older than the request, and proves nothing either.
Rule 4: no clock here: readings are arguments; the server's time is learnt from its Date headers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

import attrs

from domo_files_async.planning.retry import backoff

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet

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
_AGREEMENT = timedelta(milliseconds=250)
"""What clocks that agree may differ: replies and revisions are dated by different machines."""

_DISAGREEMENT = timedelta(seconds=2)


@attrs.frozen
class Made:
    """Exactly one trace: the request was carried out.

    Attributes:
        data_file_id: The data file that it made, or to which it added a revision.
        revision_id: Its revision; `None` where the server doesn't list any.
    """

    data_file_id: int
    revision_id: int | None


@attrs.frozen
class NotSeen:
    """No trace, which proves nothing yet."""


@attrs.frozen
class Ambiguous:
    """Traces that may be ours or another's.

    Attributes:
        seen: Which, and why they prove nothing; for people.
    """

    seen: str


Evidence: TypeAlias = Made | NotSeen | Ambiguous


@attrs.frozen(kw_only=True)
class Sought:
    """What a request of ours would have left.

    Attributes:
        name: The new data file's name; `None` where the server chooses it.
        size: Bytes of the content; `None` where unknown.
        sha256: Of the content, in hex; `None` where unknown.
        since: The earliest that the server's clock can have shown when the request began; `None`
            where its clock is unknown, so that nothing can be dated.
        known: Ids, of data files or of revisions, that are there for another reason.
    """

    name: str | None
    size: int | None
    sha256: str | None
    since: datetime | None
    known: AbstractSet[int]


@attrs.frozen
class _Trace:
    label: str
    made: Made
    when: datetime | None


class ServerClock:
    """The server's clock, as far as the Date headers of its replies tell it.

    A Date is cut to the second, so that each one bounds the clock from both sides, and many
    together bound it narrowly. All local readings are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._low: datetime | None = None
        self._high: datetime | None = None
        self._slack = _AGREEMENT

    def observe(self, date: datetime, sent: float, received: float) -> None:
        """Take note of a reply's Date.

        Args:
            date: The header, aware.
            sent: When its request was begun.
            received: When the reply's head was there.
        """
        low = date - timedelta(seconds=received)
        high = date - timedelta(seconds=sent) + _SECOND
        if self._low is None or self._high is None:
            self._low, self._high = low, high
        elif low > self._high or high < self._low:
            # It was set, or several clocks answer under one name.
            self._low, self._high, self._slack = low, high, _DISAGREEMENT
        else:
            self._low, self._high = max(low, self._low), min(high, self._high)

    def since(self, local: float) -> datetime | None:
        """Give the earliest that the server's clock can have shown at a local reading.

        Args:
            local: The reading; it may be older than all observations.

        Returns:
            `None` as long as nothing was observed.
        """
        if self._low is None:
            return None
        return self._low - self._slack + timedelta(seconds=local)


def judge_new_file(sought: Sought, files: Iterable[DataFile]) -> Evidence:
    """Look for the data file that a request would have made.

    Args:
        sought: What it would have left; `known` are ids of data files.
        files: What the server has, with all revisions where it gives them.
    """
    traces = []
    for file in files:
        if file.data_file_id in sought.known or sought.name not in {None, file.name}:
            continue
        revisions = _all_revisions(file)
        alike = [one.data_file_revision_id for one in revisions if _is_alike(sought, one)]
        if alike or (not revisions and sought.size is None):
            # A file is as old as its oldest revision, and ours comes before what others added.
            dates = [one.datetime_uploaded for one in revisions if one.datetime_uploaded]
            created = file.datetime_created or min(dates, default=None)
            made = Made(file.data_file_id, min(alike, default=None))
            traces.append(_Trace(f"data file {file.data_file_id}", made, created))
    return _judge(sought.since, traces)


def judge_new_revision(
    sought: Sought, data_file_id: int, revisions: Iterable[Revision]
) -> Evidence:
    """Look for the revision that a request would have added.

    Args:
        sought: What it would have left; `known` are ids of revisions, and `name` isn't looked at.
        data_file_id: The data file to which it would have added it.
        revisions: What the server has of it.
    """
    return _judge(
        sought.since,
        [
            _Trace(f"revision {number}", Made(data_file_id, number), revision.datetime_uploaded)
            for revision in revisions
            if (number := revision.data_file_revision_id) not in sought.known
            and _is_alike(sought, revision)
        ],
    )


def look_delays(policy: RetryPolicy) -> tuple[float, ...]:
    """Say how many seconds to wait before each look for what a request left.

    Args:
        policy: Its backoffs are the waits, and it gives one look more than attempts.

    Returns:
        The waits; the first is 0.
    """
    waits = (backoff(look, policy, 1) for look in range(1, policy.max_attempts + 1))
    return (0.0, *waits)


def _judge(since: datetime | None, traces: Sequence[_Trace]) -> Evidence:
    left = [one for one in traces if not _is_older(one.when, since)]
    if not left:
        return NotSeen()
    labels = ", ".join(one.label for one in left)
    if len(left) > 1:
        return Ambiguous(f"{labels} look like it, and only one can be")
    if since is None or left[0].when is None:
        return Ambiguous(f"{labels} looks like it, but it can't be told how old it is")
    return left[0].made


def _is_older(when: datetime | None, since: datetime | None) -> bool:
    if when is None or since is None:
        return False
    # A date without a fraction was probably cut to the second, as the API's own samples are.
    return when < (since if when.microsecond else since.replace(microsecond=0))


def _all_revisions(file: DataFile) -> Sequence[Revision]:
    current = file.current_revision
    return file.revisions if current is None else (*file.revisions, current)


def _is_alike(sought: Sought, revision: Revision) -> bool:
    digest = revision.sha256_hash_value
    if sought.sha256 and digest and sought.sha256.lower() != digest.lower():
        return False
    return sought.size in {None, revision.size_bytes}
