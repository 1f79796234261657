from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domo_files_async.config import RetryPolicy
from domo_files_async.errors import (
    AccessNotSetError,
    ApiError,
    AuthenticationError,
    BadRequestError,
    ChecksumMismatchError,
    ConflictError,
    ConnectError,
    DestinationError,
    InvalidArgumentError,
    JournalError,
    MaintenanceError,
    NotFoundError,
    OutcomeUnknownError,
    PartUploadError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    SourceChangedError,
    SourceTooLargeError,
    StalledError,
    TransportError,
    UnexpectedResponseError,
)
from domo_files_async.planning.retry import (
    GiveUp,
    Retry,
    RetryBudget,
    backoff,
    decide_retry,
    is_answer_lost,
    is_mendable,
)

PLAIN = RetryPolicy(
    max_attempts=4, initial_backoff=1, max_backoff=10, jitter=0, budget=5, max_retry_after=60
)


def answered(kind: type[ApiError], status: int, retry_after: float | None = None) -> ApiError:
    return kind("no", status=status, method="PUT", path="/7", retry_after=retry_after)


def unexpected(status: int) -> UnexpectedResponseError:
    return UnexpectedResponseError("no id", status=status, method="PUT", path="/7")


def part_failed(cause) -> PartUploadError:
    return PartUploadError(index=3, attempts=5, cause=cause)


def decide(error, *, attempt=1, repeatable=True, policy=PLAIN, chance=0.5, budget=None):
    return decide_retry(
        error,
        attempt=attempt,
        repeatable=repeatable,
        policy=policy,
        chance=chance,
        budget=budget or RetryBudget(policy.budget),
    )


def spent(size: float = 5) -> RetryBudget:
    budget = RetryBudget(size)
    for _ in range(int(size)):
        budget.take()
    return budget


#: error, tried again, tried again if not repeatable, its answer is lost, mendable later
ERRORS = [
    (ConnectError("refused"), True, True, False, True),
    (TransportError("reset"), True, False, True, True),
    (TransportError("reset early", request_sent=False), True, False, False, True),
    (StalledError("silence"), True, False, True, True),
    (StalledError("silence in the body", request_sent=False), True, False, False, True),
    (answered(BadRequestError, 400), False, False, False, False),
    (answered(AuthenticationError, 401), False, False, False, False),
    (answered(AuthenticationError, 302), False, False, False, False),
    (answered(PermissionDeniedError, 403), False, False, False, False),
    (answered(NotFoundError, 404), False, False, False, False),
    (answered(BadRequestError, 408), True, False, True, True),
    (answered(ConflictError, 409), False, False, False, False),
    (answered(BadRequestError, 412), False, False, False, False),
    (answered(PayloadTooLargeError, 413), False, False, False, False),
    (answered(BadRequestError, 425), False, False, False, False),
    (answered(RateLimitedError, 429), True, True, False, True),
    (answered(ServerError, 500), True, False, True, True),
    (answered(ServerError, 501), False, False, True, True),
    (answered(ServerError, 502), True, False, True, True),
    (answered(ServerError, 503), True, False, True, True),
    (answered(ServerError, 504), True, False, True, True),
    (answered(ServerError, 507), False, False, True, True),
    (answered(MaintenanceError, 200), True, False, True, True),
    (answered(MaintenanceError, 503), True, False, True, True),
    (ChecksumMismatchError("damaged"), True, False, False, True),
    (unexpected(200), False, False, True, False),
    (unexpected(204), False, False, True, False),
    (unexpected(302), False, False, False, False),
    (InvalidArgumentError("no"), False, False, False, False),
    (SourceChangedError("no"), False, False, False, False),
    (SourceTooLargeError("no"), False, False, False, False),
    (DestinationError("no"), False, False, False, False),
    (JournalError("no"), False, False, False, False),
    (OutcomeUnknownError(operation="x", seen="y"), False, False, False, False),
    (
        AccessNotSetError(data_file_id=1, revision_id=2, public=False, cause=ConnectError("no")),
        False,
        False,
        False,
        False,
    ),
    (part_failed(TransportError("reset")), False, False, False, True),
    (part_failed(answered(ServerError, 503)), False, False, False, True),
    (part_failed(part_failed(ConnectError("no"))), False, False, False, True),
    (part_failed(answered(BadRequestError, 400)), *[False] * 4),
    (part_failed(SourceChangedError("no")), False, False, False, False),
]


def table(column: int):
    return [
        pytest.param(error, expected[column], id=f"{type(error).__name__}: {error}"[:60])
        for error, *expected in ERRORS
    ]


@pytest.mark.parametrize(("error", "expected"), table(0))
def test_what_may_pass_by_itself_is_tried_again(error, expected):
    assert isinstance(decide(error), Retry) is expected


@pytest.mark.parametrize(("error", "expected"), table(1))
def test_what_must_not_happen_twice_is_tried_again_only_when_it_surely_did_not_happen(
    error, expected
):
    assert isinstance(decide(error, repeatable=False), Retry) is expected


@pytest.mark.parametrize(("error", "expected"), table(2))
def test_an_answer_is_lost_when_the_request_may_have_been_carried_out(error, expected):
    assert is_answer_lost(error) is expected


@pytest.mark.parametrize(("error", "expected"), table(3))
def test_mendable_is_what_another_time_could_go_well(error, expected):
    assert is_mendable(error) is expected


@pytest.mark.parametrize(("error", "expected"), table(1))
def test_no_answer_is_both_lost_and_tried_again_blindly(error, expected):
    assert not (expected and is_answer_lost(error))


def test_giving_up_says_why():
    late = answered(ServerError, 503, retry_after=61)

    assert "wouldn't change" in decide(NotFoundError("", status=404, method="", path="")).because
    assert "must not happen twice" in decide(TransportError("reset"), repeatable=False).because
    assert decide(TransportError("reset"), attempt=4).because == "that was attempt 4 of 4"
    assert "asks to wait 61 s, and max_retry_after is 60 s" in decide(late).because
    assert "retry budget is used up" in decide(TransportError("reset"), budget=spent()).because


def test_attempts_are_counted_with_the_first_one():
    error = TransportError("reset")

    verdicts = [decide(error, attempt=attempt) for attempt in (1, 2, 3, 4, 5)]

    assert [type(verdict) for verdict in verdicts] == [Retry, Retry, Retry, GiveUp, GiveUp]


@pytest.mark.parametrize(
    ("asked", "attempt", "after"),
    [(None, 1, 1), (0, 1, 1), (0.5, 1, 1), (3, 1, 3), (3, 3, 4), (60, 1, 60)],
)
def test_the_longer_of_backoff_and_what_the_server_asks_is_waited_for(asked, attempt, after):
    error = answered(ServerError, 503, asked)

    assert decide(error, attempt=attempt) == Retry(after, is_free=False)


@pytest.mark.parametrize("kind", [ServerError, RateLimitedError, MaintenanceError])
def test_a_wait_longer_than_allowed_ends_it(kind):
    assert isinstance(decide(answered(kind, 503, 60.1)), GiveUp)


def test_waiting_after_a_429_as_told_costs_nothing():
    told, not_told = answered(RateLimitedError, 429, 2), answered(RateLimitedError, 429)

    assert decide(told) == Retry(2, is_free=True)
    assert decide(told, budget=spent()) == Retry(2, is_free=True)
    assert decide(not_told) == Retry(1, is_free=False)
    assert isinstance(decide(not_told, budget=spent()), GiveUp)
    assert isinstance(decide(answered(ServerError, 503, 2), budget=spent()), GiveUp)


@pytest.mark.parametrize("retry_after", [None, 2])
def test_a_budget_of_nothing_means_no_retries(retry_after):
    error = answered(RateLimitedError, 429, retry_after)

    assert isinstance(decide(error, budget=RetryBudget(0)), GiveUp)


def test_a_session_spends_its_budget_and_earns_it_back_with_successes():
    budget = RetryBudget(2)
    assert not budget.is_spent
    budget.take()
    assert not budget.is_spent
    budget.take()
    assert budget.is_spent
    budget.take()
    for _ in range(9):
        budget.give_back()
    assert budget.is_spent
    budget.give_back()
    budget.give_back()
    assert not budget.is_spent


def test_a_budget_never_holds_more_than_it_had_at_first():
    budget = RetryBudget(1)

    for _ in range(100):
        budget.give_back()

    assert repr(budget) == "<RetryBudget 1 of 1>"


def test_deciding_takes_nothing_from_the_budget():
    budget = RetryBudget(3)

    decide(TransportError("reset"), budget=budget)

    assert repr(budget) == "<RetryBudget 3 of 3>"


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (10**9, 10)]
)
def test_backoff_doubles_up_to_its_longest(attempt, seconds):
    assert backoff(attempt, PLAIN, 0.3) == seconds


@pytest.mark.parametrize(
    ("jitter", "chance", "seconds"),
    [(0.5, 0, 1), (0.5, 0.5, 1.5), (0.5, 1, 2), (1, 0, 0), (1, 1, 2), (0, 0, 2), (0.3, 1, 2)],
)
def test_jitter_is_the_share_of_the_wait_that_is_left_to_chance(jitter, chance, seconds):
    policy = RetryPolicy(initial_backoff=2, max_backoff=2, jitter=jitter)

    assert backoff(1, policy, chance) == seconds


@given(
    attempt=st.integers(min_value=1),
    first=st.floats(min_value=0, max_value=1e300),
    more=st.floats(min_value=0, max_value=1e300),
    jitter=st.floats(min_value=0, max_value=1),
    chance=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_backoff_is_finite_and_within_its_bounds(attempt, first, more, jitter, chance):
    policy = RetryPolicy(initial_backoff=first, max_backoff=first + more, jitter=jitter)

    seconds = backoff(attempt, policy, chance)

    assert math.isfinite(seconds)
    assert 0 <= seconds <= policy.max_backoff
