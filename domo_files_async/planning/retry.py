"""Whether a failed attempt is followed by another, and when.

No clock and no chance here: the attempt's number and a random number are arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attrs

from domo_files_async.errors import (
    ApiError,
    ChecksumMismatchError,
    ConnectError,
    DomoFilesError,
    MaintenanceError,
    PartUploadError,
    RateLimitedError,
    TransportError,
    UnexpectedResponseError,
)

if TYPE_CHECKING:
    from domo_files_async.config import RetryPolicy

__all__ = (
    "GONE",
    "GiveUp",
    "Retry",
    "RetryBudget",
    "Verdict",
    "backoff",
    "decide_retry",
    "is_answer_lost",
    "is_mendable",
)

GONE = frozenset({404, 409, 410})
"""Statuses by which the server says that it has no such thing, or has it no more."""

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_REQUEST_TIMEOUT = 408
_FIRST_SERVER_ERROR = 500
_SUCCESSES = range(200, 300)
_GIVEN_BACK = 0.1
_DOUBLINGS = 1_000
"""Past any time that a float holds, and short of the power that would overflow."""


@attrs.frozen
class Retry:
    """Try again.

    Attributes:
        after: Seconds to wait before.
        is_free: Whether the session's retry budget is left alone: waiting as the server asked
            is no hammering.
    """

    after: float
    is_free: bool = False


@attrs.frozen
class GiveUp:
    """Don't try again.

    Attributes:
        because: The reason, for people.
    """

    because: str


Verdict: TypeAlias = Retry | GiveUp


class RetryBudget:
    """How many retries a session may still spend, so that a server in trouble isn't hammered.

    Args:
        size: Retries at once; each success gives a tenth of one back. Below 1 there are none.
    """

    def __init__(self, size: float) -> None:
        self._size = size
        self._left = size

    def __repr__(self) -> str:
        return f"<RetryBudget {self._left:g} of {self._size:g}>"

    @property
    def is_none(self) -> bool:
        """Whether there never was one to spend."""
        return self._size < 1

    @property
    def is_spent(self) -> bool:
        """Whether there is none left to spend."""
        return self._left < 1

    def take(self) -> None:
        """Spend one."""
        self._left = max(0.0, self._left - 1)

    def give_back(self) -> None:
        """Take note of a success."""
        self._left = min(self._size, self._left + _GIVEN_BACK)


def backoff(attempt: int, policy: RetryPolicy, chance: float) -> float:
    """Say how many seconds to wait after a failed attempt: doubled each time, part left to chance.

    Args:
        attempt: The one that failed, from 1.
        policy: Its backoffs and jitter.
        chance: A random number from 0 to 1; 1 gives the longest wait.
    """
    doubled = policy.initial_backoff * 2.0 ** min(attempt - 1, _DOUBLINGS)
    longest = min(policy.max_backoff, doubled)
    return longest - longest * policy.jitter * (1 - chance)


def decide_retry(
    error: DomoFilesError,
    *,
    attempt: int,
    repeatable: bool,
    policy: RetryPolicy,
    chance: float,
    budget: RetryBudget,
) -> Verdict:
    """Judge a failed attempt.

    Args:
        error: What it failed with.
        attempt: Its number, from 1.
        repeatable: Whether the request may be sent again without asking what became of it.
        policy: The session's.
        chance: A random number from 0 to 1, for the jitter.
        budget: The session's; only looked at: taking from it is the caller's.
    """
    if not _is_transient(error):
        return GiveUp("trying again wouldn't change the answer")
    if not repeatable and not isinstance(error, RateLimitedError | ConnectError):
        return GiveUp("it may have happened, and must not happen twice")
    if attempt >= policy.max_attempts:
        return GiveUp(f"that was attempt {attempt} of {policy.max_attempts}")
    asked = error.retry_after if isinstance(error, ApiError) else None
    if asked is not None and asked > policy.max_retry_after:
        return GiveUp(
            f"the server asks to wait {asked:g} s, and max_retry_after is "
            f"{policy.max_retry_after:g} s"
        )
    is_free = isinstance(error, RateLimitedError) and asked is not None
    if budget.is_none or (budget.is_spent and not is_free):
        return GiveUp("the session's retry budget is used up: the server fails too often")
    return Retry(max(asked or 0.0, backoff(attempt, policy, chance)), is_free)


def is_answer_lost(error: DomoFilesError) -> bool:
    """Say whether after *error* it isn't known if the request was carried out."""
    match error:
        case TransportError():
            return error.request_sent
        case MaintenanceError():
            return True
        case ApiError():
            return error.status == _REQUEST_TIMEOUT or error.status >= _FIRST_SERVER_ERROR
        case UnexpectedResponseError():
            return error.status in _SUCCESSES
        case _:
            return False


def is_mendable(error: DomoFilesError) -> bool:
    """Say whether trying again later could mend *error*."""
    if isinstance(error, PartUploadError):
        return is_mendable(error.cause)
    if isinstance(error, ApiError) and error.status >= _FIRST_SERVER_ERROR:
        return True
    return _is_transient(error)


def _is_transient(error: DomoFilesError) -> bool:
    if isinstance(error, ApiError):
        return isinstance(error, MaintenanceError) or error.status in _TRANSIENT
    return isinstance(error, TransportError | ChecksumMismatchError)
