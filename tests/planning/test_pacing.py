from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domo_files_async.planning.pacing import TokenBucket


def test_without_a_rate_nothing_waits():
    bucket = TokenBucket(None, burst=10)

    assert bucket.delay(10**12, 0.0) == 0


def test_a_burst_goes_at_once_and_the_rest_on_credit():
    bucket = TokenBucket(100, burst=50)

    assert bucket.delay(50, 7.0) == 0
    assert bucket.delay(100, 7.0) == 1
    assert bucket.delay(100, 7.0) == 2


def test_the_bucket_fills_with_time_and_never_above_the_burst():
    bucket = TokenBucket(100, burst=50)
    bucket.delay(150, 0.0)

    assert bucket.delay(0, 0.5) == 0.5
    assert bucket.delay(0, 1.0) == 0
    assert bucket.delay(50, 1_000.0) == 0
    assert bucket.delay(1, 1_000.0) == 0.01


def test_one_piece_larger_than_the_burst_still_goes():
    bucket = TokenBucket(10, burst=1)

    assert bucket.delay(101, 0.0) == 10


def test_a_new_rate_holds_for_what_is_still_owed():
    bucket = TokenBucket(100, burst=0)
    assert bucket.delay(1_000, 0.0) == 10

    bucket.set_rate(50, 5.0)

    assert bucket.rate == 50
    assert bucket.delay(0, 5.0) == 10
    assert bucket.delay(0, 10.0) == 5


def test_lifting_the_limit_forgives_what_is_owed():
    bucket = TokenBucket(1, burst=5)
    bucket.delay(1_000_000, 0.0)

    bucket.set_rate(None, 1.0)
    assert bucket.delay(10**9, 1.0) == 0

    bucket.set_rate(1, 2.0)
    assert bucket.delay(5, 2.0) == 0
    assert bucket.delay(1, 2.0) == 1


def test_a_limit_that_is_set_later_counts_from_then_on():
    bucket = TokenBucket(None, burst=5)

    bucket.set_rate(10, 100.0)

    assert bucket.delay(15, 100.0) == 1


@given(
    rate=st.integers(min_value=1, max_value=10**9),
    burst=st.integers(min_value=0, max_value=10**6),
    sizes=st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 10)), min_size=1),
)
def test_what_is_sent_stays_below_rate_and_burst(rate, burst, sizes):
    bucket = TokenBucket(rate, burst=burst)
    now = sent = 0
    for size, pause in sizes:
        now += pause + bucket.delay(size, now + pause)
        sent += size
        assert sent <= (burst + rate * now) * (1 + 1e-6) + 1e-3


@pytest.mark.parametrize("rate", [1, 1_000])
def test_a_sender_that_always_waits_gets_the_whole_rate(rate):
    bucket = TokenBucket(rate, burst=0)
    now = 0.0

    for _ in range(100):
        now += bucket.delay(rate, now)

    assert now == pytest.approx(100)
