from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domo_files_async.config import RetryPolicy
from domo_files_async.models import DataFile, Revision
from domo_files_async.planning.outcome import (
    Ambiguous,
    Made,
    NotSeen,
    ServerClock,
    Sought,
    judge_new_file,
    judge_new_revision,
    look_delays,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
APART = timedelta(seconds=0.25)
"""What the clocks of a service's machines may differ."""
BEFORE, AFTER = NOON - timedelta(milliseconds=1), NOON + timedelta(milliseconds=1)
DIGEST = "ab" * 32
STORED = DIGEST.upper()


def sought(**changes) -> Sought:
    facts = {"name": "a.csv", "size": 5, "sha256": DIGEST, "since": NOON, "known": frozenset()}
    return Sought(**(facts | changes))


def revision(number=71, *, size=5, sha256=STORED, when=AFTER) -> Revision:
    return Revision(number, size_bytes=size, sha256_hash_value=sha256, datetime_uploaded=when)


def file(number=7, *revisions, name="a.csv", created=AFTER, current=None) -> DataFile:
    if not revisions and current is None:
        current = revision()
    return DataFile(
        number, name, current_revision=current, revisions=revisions, datetime_created=created
    )


def nothing() -> DataFile:
    return DataFile(7, "a.csv", datetime_created=AFTER)


def test_one_young_file_like_ours_was_made():
    others = [file(8, name="b.csv"), file(9, created=BEFORE), file(6, revision(61, size=4))]

    assert judge_new_file(sought(), [*others, file(7)]) == Made(7, 71)


def test_no_file_is_no_evidence():
    assert judge_new_file(sought(), []) == NotSeen()


@pytest.mark.parametrize(
    "other",
    [
        file(name="b.csv"),
        file(name="A.csv"),
        file(created=BEFORE),
        file(7, revision(size=4)),
        file(7, revision(size=None)),
        file(7, revision(sha256="cd" * 32)),
        nothing(),
    ],
)
def test_a_file_that_differs_is_not_ours(other):
    assert judge_new_file(sought(), [other]) == NotSeen()


@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ({"name": None}, file(name="whatever")),
        ({"size": None}, file(7, revision(size=99))),
        ({"sha256": None}, file(7, revision(sha256="cd" * 32))),
        ({}, file(7, revision(sha256=None))),
        ({}, file(7, revision(sha256=DIGEST))),
        ({"sha256": DIGEST.upper()}, file(7, revision(sha256=DIGEST))),
        ({"size": 0}, file(7, revision(size=0))),
    ],
)
def test_only_what_both_sides_know_is_compared(changes, there):
    assert judge_new_file(sought(**changes), [there]) == Made(7, 71)


def test_a_file_without_revisions_is_ours_only_if_no_size_is_sought():
    assert judge_new_file(sought(size=None), [nothing()]) == Made(7, None)
    assert judge_new_file(sought(size=0), [nothing()]) == NotSeen()


def test_what_is_known_is_not_ours():
    assert judge_new_file(sought(known={7}), [file(7)]) == NotSeen()
    assert judge_new_file(sought(known={7}), [file(7), file(8)]) == Made(8, 71)


def test_two_files_alike_are_ambiguous_and_named():
    verdict = judge_new_file(sought(), [file(7), file(8)])

    assert isinstance(verdict, Ambiguous)
    assert "data file 7, data file 8" in verdict.seen


def test_a_revision_that_was_added_since_does_not_hide_ours():
    there = file(7, revision(71), current=revision(72, size=9))

    assert judge_new_file(sought(), [there]) == Made(7, 71)


def test_of_two_revisions_alike_the_first_is_ours():
    there = file(7, revision(72), revision(71), current=revision(72))

    assert judge_new_file(sought(), [there]) == Made(7, 71)


def test_a_file_without_a_date_is_as_old_as_its_oldest_revision():
    young = file(7, revision(71), created=None)
    old = file(7, revision(70, size=1, when=BEFORE), current=revision(71), created=None)

    assert judge_new_file(sought(), [young]) == Made(7, 71)
    assert judge_new_file(sought(), [old]) == NotSeen()


@pytest.mark.parametrize(
    ("changes", "there"),
    [({}, file(7, revision(when=None), created=None)), ({"since": None}, file(7))],
)
def test_a_file_that_cannot_be_dated_proves_nothing(changes, there):
    verdict = judge_new_file(sought(**changes), [there])

    assert isinstance(verdict, Ambiguous)
    assert "data file 7" in verdict.seen
    assert "how old" in verdict.seen


def test_a_file_that_cannot_be_dated_makes_another_doubtful():
    verdict = judge_new_file(sought(), [file(7), file(8, revision(when=None), created=None)])

    assert isinstance(verdict, Ambiguous)


def test_a_date_that_was_cut_to_the_second_counts_as_its_end():
    since = NOON.replace(microsecond=600_000)
    cut, whole = NOON, NOON.replace(microsecond=500_000)
    older = NOON - timedelta(seconds=1)

    assert judge_new_file(sought(since=since), [file(7, created=cut)]) == Made(7, 71)
    assert judge_new_file(sought(since=since), [file(7, created=whole)]) == NotSeen()
    assert judge_new_file(sought(since=since), [file(7, created=older)]) == NotSeen()


def test_a_file_of_the_very_instant_is_young_enough():
    assert judge_new_file(sought(), [file(7, created=NOON)]) == Made(7, 71)


def test_one_young_revision_like_ours_was_made():
    there = [revision(70, when=BEFORE), revision(69, size=4), revision(71)]

    assert judge_new_revision(sought(name=None), 7, there) == Made(7, 71)


@pytest.mark.parametrize(
    "other",
    [revision(when=BEFORE), revision(size=4), revision(sha256="cd" * 32), revision(70)],
)
def test_a_revision_that_differs_or_is_known_is_not_ours(other):
    assert judge_new_revision(sought(known={70}), 7, [other]) == NotSeen()


def test_two_revisions_alike_are_ambiguous_and_named():
    verdict = judge_new_revision(sought(), 7, [revision(71), revision(72)])

    assert isinstance(verdict, Ambiguous)
    assert "revision 71, revision 72" in verdict.seen


def test_a_revision_that_cannot_be_dated_proves_nothing():
    verdict = judge_new_revision(sought(), 7, [revision(71, when=None)])

    assert isinstance(verdict, Ambiguous)
    assert "how old" in verdict.seen


def test_a_clock_that_nobody_told_of_is_unknown():
    assert ServerClock().since(5.0) is None


def test_one_date_bounds_the_servers_clock():
    clock = ServerClock()

    clock.observe(NOON, sent=10.0, received=10.5)

    assert clock.since(10.5) == NOON - APART
    assert clock.since(0.5) == NOON - timedelta(seconds=10) - APART


def test_a_second_date_can_narrow_the_bound_but_not_widen_it():
    clock = ServerClock()
    clock.observe(NOON, sent=10.0, received=10.5)

    clock.observe(NOON + timedelta(seconds=1), sent=10.6, received=10.7)
    assert clock.since(10.0) == NOON + timedelta(seconds=0.3) - APART

    clock.observe(NOON + timedelta(seconds=1), sent=11.0, received=13.0)
    assert clock.since(10.0) == NOON + timedelta(seconds=0.3) - APART


@pytest.mark.parametrize("step", [timedelta(hours=1), -timedelta(hours=1)])
def test_a_clock_that_was_set_is_believed_with_a_slack(step):
    clock = ServerClock()
    clock.observe(NOON, sent=10.0, received=10.0)

    clock.observe(NOON + step, sent=11.0, received=11.0)
    assert clock.since(11.0) == NOON + step - timedelta(seconds=2)

    clock.observe(NOON + step, sent=11.5, received=11.5)
    clock.observe(NOON + step + timedelta(seconds=1), sent=11.6, received=11.6)
    assert clock.since(11.6) == NOON + step + timedelta(seconds=1) - timedelta(seconds=2)


@given(
    offset=st.integers(-(10**9), 10**9).map(lambda tenths: tenths / 10),
    replies=st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 100), st.integers(0, 100)), min_size=1
    ),
    local=st.integers(0, 10**6),
)
def test_a_steady_clock_never_shows_less_than_the_bound(offset, replies, local):
    clock = ServerClock()
    for sent, there, back in replies:
        dated = NOON + timedelta(seconds=offset + sent + there / 16)
        clock.observe(
            dated.replace(microsecond=0), sent=float(sent), received=sent + (there + back) / 16
        )

    assert clock.since(local) <= NOON + timedelta(seconds=offset + local)


def test_looks_come_at_once_and_then_ever_later():
    policy = RetryPolicy(max_attempts=5, initial_backoff=1, max_backoff=5, jitter=0.5)

    assert look_delays(policy) == (0, 1, 2, 4, 5, 5)


def test_a_single_attempt_still_gets_two_looks():
    assert look_delays(RetryPolicy(max_attempts=1, initial_backoff=0.5)) == (0, 0.5)
