from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domo_files_async.planning.pacing import ConcurrencyController, TokenBucket
from tests.planning.links import (
    MIB,
    Fixed,
    Link,
    Sender,
    adaptive,
    chances,
    levels,
    parts,
    profile,
    upload,
)


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


PROFILES = (
    profile(5, 5),
    profile(5, 20),
    profile(50, 5),
    profile(50, 20),
    profile(200, 5),
    profile(50, 100, 400),
    profile(200, 100, 300),
    profile(50, 20, 200),
    profile(200, 20, 100),
    profile(5, 100, 150),
    profile(50, 20, most=6),
    profile(200, 20, most=12),
)
FIXED = (1, 2, 4, 6, 8, 12, 16, 24, 32)
FOUR_GIB = parts(4096 * MIB)


def best_fixed(link, sizes, at_once=FIXED, **more):
    """Give the seconds of the best fixed concurrency."""
    return min(upload(link, Fixed(n), sizes, **more).finished for n in at_once)


@pytest.mark.parametrize("link", PROFILES, ids=str)
def test_not_configured_it_reaches_nine_tenths_of_the_best_fixed_concurrency(link):
    sender = upload(link, adaptive(link.latency), FOUR_GIB)

    assert best_fixed(link, FOUR_GIB) / sender.finished >= 0.9
    assert sender.most_attempts <= 2


@pytest.mark.parametrize("link", PROFILES, ids=str)
def test_noise_does_not_mislead_it(link):
    noise = {"jitter": 0.2, "chance": chances(5)}
    sender = upload(link, adaptive(link.latency), FOUR_GIB, **noise)

    best = best_fixed(link, FOUR_GIB, jitter=0.2, chance=chances(5))
    assert best / sender.finished >= 0.85


@pytest.mark.parametrize(("most", "latency"), [(1, 5), (3, 50), (6, 50), (12, 200), (20, 5)])
def test_it_settles_just_below_what_is_refused(most, latency):
    sender = upload(profile(latency, 20, most=most), adaptive(latency / 1000), FOUR_GIB)

    settled = [limit for when, limit in sender.limits if when > 3]
    assert most * 0.7 <= sum(settled) / len(settled) <= most + 0.5
    assert max(settled) <= most + 1
    assert sender.most_attempts <= 4


@pytest.mark.parametrize(("most", "latency"), [(6, 50), (12, 200)])
def test_a_silence_that_the_server_asks_for_is_not_taken_for_a_slow_link(most, latency):
    link = profile(latency, 20, most=most, retry_after=1.0)
    sender = upload(link, adaptive(link.latency), FOUR_GIB)

    assert best_fixed(link, FOUR_GIB, (most,)) / sender.finished >= 0.9


def changed(then, link):
    return lambda now: then if 10 <= now < 20 else link


@pytest.mark.parametrize(
    ("link", "then"),
    [
        (profile(50, 20, 200), profile(50, 20, 100)),
        (profile(50, 20), profile(50, 10)),
        (profile(50, 100, 400), profile(50, 25, 100)),
    ],
    ids=str,
)
def test_a_link_that_halves_and_recovers_is_followed(link, then):
    sizes = parts(8192 * MIB)
    sender = upload(changed(then, link), adaptive(link.latency), sizes)

    best = best_fixed(changed(then, link), sizes, (8, 16, 32))
    assert best / sender.finished >= 0.85


@pytest.mark.parametrize("link", [profile(50, 20), profile(5, 20, 50), profile(20, 5, 5)], ids=str)
def test_small_files_count_as_work(link):
    chance = chances(7)
    sizes = [4096 + int(next(chance) * 252 * 1024) for _ in range(1500)]
    sender = upload(link, adaptive(link.latency), sizes)

    assert best_fixed(link, sizes, (8, 32)) / sender.finished >= 0.75


def test_sessions_that_share_a_link_share_it_fairly_and_fully():
    link = profile(50, 20, 200)
    first = Sender(adaptive(0.05), parts(8192 * MIB))
    second = Sender(adaptive(0.05), parts(8192 * MIB), begins=5)
    Link(link, first, second).run(until=40)
    before = first.done, second.done

    assert sum(before) / 40 >= 0.9 * 200_000_000
    assert min(before) / sum(before) >= 0.3


def test_one_latecomer_finds_a_place_on_a_full_link():
    first = Sender(adaptive(0.05), parts(2048 * MIB))
    second = Sender(adaptive(0.05), parts(1024 * MIB), begins=5)
    Link(profile(50, 20, most=12), first, second).run(until=200)

    assert first.finished < 30
    assert second.finished < 60
    assert max(first.most_attempts, second.most_attempts) <= 5


def fed(control, rate, seconds, *, start=0.0, in_flight=None, step=0.025):
    """Let *seconds* pass in which `rate(limit)` bytes a second move."""
    for turn in range(1, round(seconds / step) + 1):
        now = start + turn * step
        at_once = control.limit if in_flight is None else in_flight
        control.observe(now, rate(at_once) * step, at_once)
    return start + seconds


def test_it_starts_at_four_or_at_the_ceiling_below():
    assert ConcurrencyController(32).limit == 4
    assert ConcurrencyController(3).limit == 3
    assert repr(ConcurrencyController(8)) == "<ConcurrencyController 4 of 8, doubling>"


def test_it_doubles_up_to_the_ceiling_while_that_pays():
    control = ConcurrencyController(24)
    control.on_latency(0.005)
    fed(control, lambda n: n * 10**7, 2)

    assert control.limit == 24
    fed(control, lambda n: n * 10**7, 6, start=2)
    assert control.limit == 24


def test_what_nobody_asks_for_says_nothing():
    control = ConcurrencyController(32)
    control.on_latency(0.005)
    fed(control, lambda n: n * 10**7, 60, in_flight=3)

    assert control.limit == 4


def test_a_changing_number_of_requests_says_nothing():
    control = ConcurrencyController(32)
    for turn in range(1000):
        control.observe(turn * 0.025, 10**6, None)

    assert control.limit == 4


def test_more_that_nobody_uses_is_taken_back():
    control = ConcurrencyController(32)
    control.on_latency(0.005)
    now = fed(control, lambda _: 10**8, 1)
    assert control.limit == 4
    while control.limit == 4:
        now = fed(control, lambda _: 10**8, 0.025, start=now)
    assert control.limit == 5

    fed(control, lambda _: 10**8, 3, start=now, in_flight=4)
    assert control.limit == 4


def test_on_a_busy_machine_more_is_never_tried():
    control = ConcurrencyController(32)

    def observe(start, seconds):
        for step in range(int(seconds * 40)):
            work = 10 * MIB * control.limit * 0.025
            control.observe(start + step * 0.025, work, control.limit, is_busy=start < 5)

    observe(0.0, 5.0)
    assert control.limit <= 4
    # Once it has time again, it finds what more would bring.
    observe(5.0, 60.0)
    assert control.limit == 32


def test_a_machine_that_gets_busy_on_the_way_up_stays_where_it_is():
    control = ConcurrencyController(32)
    now = 0.0
    while control.limit < 8:
        control.observe(now, 10 * MIB * control.limit * 0.025, control.limit)
        now += 0.025
    for _ in range(200):
        control.observe(now, 10 * MIB * control.limit * 0.025, control.limit, is_busy=True)
        now += 0.025
        assert control.limit <= 8


def test_goodput_that_does_not_depend_on_it_needs_few_at_once():
    control = ConcurrencyController(32)
    control.on_latency(0.005)
    fed(control, lambda _: 10**8, 120)

    assert control.limit <= 2


def test_a_very_slow_link_is_measured_for_longer():
    control = ConcurrencyController(32)
    control.on_latency(0.005)
    now = fed(control, lambda n: n * 10**4, 4)
    assert control.limit == 4
    fed(control, lambda n: n * 10**4, 2, start=now)
    assert control.limit == 8


def test_requests_without_bytes_count_as_work_when_they_are_finished():
    control = ConcurrencyController(32)
    control.on_latency(0.005)
    for turn in range(400):
        for _ in range(control.limit):
            control.on_finished(0.025)
        control.observe(turn * 0.025, 0, control.limit)

    assert control.limit == 32


def test_a_standstill_says_nothing():
    control = ConcurrencyController(32)
    fed(control, lambda _: 0, 600)

    assert control.limit == 4


def test_long_latency_is_waited_for_and_a_strange_one_is_not():
    hasty, patient = ConcurrencyController(32), ConcurrencyController(32)
    hasty.on_latency(0.001)
    for _ in range(100):
        patient.on_latency(3600)
    for control in (hasty, patient):
        fed(control, lambda n: n * 10**7, 1.5)
        fed(control, lambda n: n * 10**7, 5, start=1.5)

    assert hasty.limit == 32
    assert patient.limit == 8


def test_refusals_of_what_was_under_way_cut_to_half_at_most():
    control = ConcurrencyController(32)
    control.on_latency(0.005)
    now = fed(control, lambda n: n * 10**7, 2)
    for others in range(31, -1, -1):
        control.on_refused(now - 1, others, now)
    assert control.limit == 16

    control.on_refused(now - 0.5, 0, now)
    assert control.limit == 16
    control.on_refused(now, 40, now)
    assert control.limit == 15


def test_endless_refusals_leave_one():
    control = ConcurrencyController(32)
    for turn in range(100):
        control.on_refused(turn, 0, turn)

    assert control.limit == 1


def test_what_was_refused_is_tried_ever_more_rarely():
    control = ConcurrencyController(32)
    control.on_latency(0.005)
    now, tried = 0.0, []
    while now < 200:
        now = fed(control, lambda n: n * 10**7, 0.025, start=now)
        if control.limit > 6:
            tried.append(now)
            control.on_refused(now - 0.001, 6, now)

    waits = [after - before for before, after in itertools.pairwise(tried[1:])]
    assert 6 <= len(tried) <= 10
    assert waits == sorted(waits)
    assert waits[-1] > 30


def test_a_wall_that_is_gone_is_forgotten():
    control = ConcurrencyController(32)
    control.on_latency(0.005)
    now = fed(control, lambda n: n * 10**7, 0.4)
    control.on_refused(now, 6, now)
    fed(control, lambda n: n * 10**7, 30, start=now)

    assert control.limit == 32


def test_measured_anew_it_doubles_again():
    control = ConcurrencyController(32)
    control.on_latency(0.005)
    now = fed(control, lambda _: 10**6, 40)
    assert control.limit <= 4
    control.restart()
    fed(control, lambda n: n * 10**7, 4, start=now)

    assert control.limit == 32


def test_with_a_ceiling_of_one_there_is_nothing_to_find():
    control = ConcurrencyController(1)
    now = fed(control, lambda n: n * 10**7, 20)
    control.on_refused(now, 0, now)
    fed(control, lambda n: n * 10**7, 20, start=now)

    assert control.limit == 1


FACTS = st.one_of(
    st.tuples(st.just("pass"), st.floats(0, 10), st.floats(0, 1e12)),
    st.tuples(st.just("idle"), st.floats(0, 1e6), st.none() | st.integers(0, 64)),
    st.tuples(st.just("refused"), st.floats(0, 1e3), st.integers(0, 64)),
    st.tuples(st.just("latency"), st.floats(0, 1e6), st.none()),
    st.tuples(st.just("finished"), st.floats(0, 1e6), st.none()),
    st.tuples(st.just("restart"), st.none(), st.none()),
)


@settings(deadline=None)
@given(ceiling=st.integers(1, 64), facts=st.lists(FACTS, max_size=60))
@example(
    1, [("latency", 1.0, None), ("finished", 2.225073858507203e-309, None), ("pass", 2.0, 0.0)]
)
def test_whatever_happens_the_limit_stays_from_one_to_the_ceiling(ceiling, facts):
    control, now = ConcurrencyController(ceiling), 0.0
    for kind, number, other in facts:
        before = control.limit
        match kind:
            case "pass":
                for _ in range(20):
                    now += number / 20
                    control.observe(now, other, control.limit)
            case "idle":
                now += number
                control.observe(now, 0, other)
            case "refused":
                control.on_refused(now - number, other, now)
                assert control.limit <= before
            case "latency":
                control.on_latency(number)
            case "finished":
                control.on_finished(number)
            case _:
                control.restart()
        assert 1 <= control.limit <= ceiling
        assert math.isfinite(control.limit)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32), link=st.sampled_from(PROFILES))
def test_the_same_facts_give_the_same_limits(seed, link):
    one, other = (
        upload(link, adaptive(link.latency), parts(128 * MIB), jitter=0.2, chance=chances(seed))
        for _ in range(2)
    )

    assert levels(one) == levels(other)
