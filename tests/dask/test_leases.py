"""Leases and shares, driven at random."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domo_files_async.dask.leases import Leases
from domo_files_async.dask.shares import Shares

WORKERS = st.sampled_from("abcd")


@given(
    budget=st.integers(1, 20),
    steps=st.lists(st.tuples(st.sampled_from(["join", "leave", "offer", "lower"]), WORKERS)),
)
def test_the_sum_of_what_workers_use_never_exceeds_the_budget(budget, steps):
    shares, used = Shares(budget), {}
    for step, worker in steps:
        if step == "join":
            shares.join(worker)
            used.setdefault(worker, 0)
        elif worker in used:
            match step:
                case "leave":
                    shares.leave(worker)
                    del used[worker]
                case "offer":
                    used[worker] = max(used[worker], shares.offer(worker))
                case "lower":
                    used[worker] = shares.offer(worker)
                    shares.lowered(worker, used[worker])
        assert sum(used.values()) <= budget


@given(budget=st.integers(0, 50), count=st.integers(1, 8))
def test_shares_differ_by_one_at_most_once_all_were_asked_twice(budget, count):
    shares = Shares(budget)
    for number in range(count):
        shares.join(str(number))
        for other in range(number + 1):
            shares.lowered(str(other), shares.offer(str(other)))
    got = [shares.offer(str(number)) for number in range(count)]
    assert sum(got) == budget
    assert max(got) - min(got) <= 1


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["take", "back", "renew", "leave", "expire"]),
            WORKERS,
            st.integers(0, 30),
            st.integers(0, 12),
        )
    )
)
def test_an_item_has_one_holder_and_a_worker_never_more_bytes_than_fit(steps):
    leases, now, held = Leases(seconds=10, max_bytes=40), 0.0, {}
    for step, worker, number, size in steps:
        now += 1
        leases.join(worker, now)
        match step:
            case "take" if number not in held and leases.fits(worker, size, now):
                leases.take(worker, number, size)
                held[number] = (worker, size)
            case "back":
                leases.give_back(number)
                held.pop(number, None)
            case "renew":
                leases.renew(worker, now)
            case "leave":
                gone = leases.leave(worker)
                assert gone == {one for one, (who, _) in held.items() if who == worker}
                held = {one: what for one, what in held.items() if one not in gone}
            case "expire":
                for one, who in leases.expire(now).items():
                    assert held.pop(one)[0] == who
        for who in "abcd":
            sizes = [size for holder, size in held.values() if holder == who]
            assert sum(sizes) <= 40


def test_an_item_that_is_held_is_not_given_to_another():
    leases = Leases(seconds=1, max_bytes=10)
    leases.join("a", 0)
    leases.join("b", 0)
    leases.take("a", 1, 5)
    with pytest.raises(ValueError, match="held by a"):
        leases.take("b", 1, 5)


def test_a_renewed_lease_holds_and_an_item_larger_than_all_fits_alone():
    leases = Leases(seconds=1, max_bytes=10)
    leases.join("a", 0)
    assert leases.fits("a", 100, 0.5)
    leases.take("a", 1, 100)
    assert not leases.fits("a", 1, 0.5)
    leases.renew("a", 0.9)
    assert leases.expire(1.5) == {}
    assert leases.expire(1.9) == {1: "a"}
    assert not leases.fits("a", 1, 1.9)
