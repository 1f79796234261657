"""Who gets an item next, driven at random."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from domo_files_async.dask.leases import Leases
from domo_files_async.dask.places import Places
from domo_files_async.dask.shares import Shares

WORKERS = st.sampled_from("abcd")


async def driven(steps):
    leases, now, at = Leases(seconds=1000, max_bytes=40), 0.0, {}
    places, shares, waiting = Places(leases), {}, {}
    for number, (step, worker, size) in enumerate(steps):
        now += 1
        match step:
            case "share":
                leases.join(worker, now)
                shares[worker] = size % 4
                places.set_share(worker, shares[worker], now)
            case "take":
                waiting[number] = (size, asyncio.ensure_future(places.take(number, size, now)))
            case "cancel" if waiting:
                _, turn = waiting.pop(min(waiting))
                turn.cancel()
                await asyncio.wait({turn})
            case "back" if at:
                one = min(at)
                places.give_back(one, at.pop(one)[0], now)
        for _ in range(4):
            await asyncio.sleep(0)
        for one, (bytes_, turn) in list(waiting.items()):
            if turn.done():
                at[one] = (turn.result(), bytes_)
                del waiting[one]
        for who, share in shares.items():
            sizes = [bytes_ for holder, bytes_ in at.values() if holder == who]
            # A share that was lowered takes nothing away.
            assert len(sizes) <= max(share, 3)
            assert len(sizes) <= 1 or sum(sizes) <= 40
            # Nobody waits for what is free.
            if share > len(sizes) and waiting:
                assert all(bytes_ + sum(sizes) > 40 for bytes_, _ in waiting.values())
                assert sizes
    for _, turn in waiting.values():
        turn.cancel()
    if waiting:
        await asyncio.wait([turn for _, turn in waiting.values()])


@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["share", "take", "take", "cancel", "back"]),
            WORKERS,
            st.integers(0, 50),
        ),
        max_size=15,
    )
)
def test_what_waits_goes_to_whoever_has_room(steps):
    asyncio.run(driven(steps))


async def test_a_worker_whose_lease_ran_out_gets_nothing_until_it_answers():
    leases = Leases(seconds=10, max_bytes=40)
    places = Places(leases)
    leases.join("a", 0)
    places.set_share("a", 2, 1)
    turn = asyncio.ensure_future(places.take(1, 5, 20))
    await asyncio.sleep(0)
    assert not turn.done()
    leases.renew("a", 21)
    places.renewed("a", 21)
    assert await turn == "a"


def test_what_one_had_that_is_gone_is_given_to_others_only_once_it_is_back():
    shares = Shares(6)
    shares.join("a")
    assert shares.offer("a") == 6
    shares.join("b")
    left = shares.leave("a")
    assert (left, shares.offer("b")) == (6, 0)
    shares.back(left)
    assert shares.offer("b") == 6
