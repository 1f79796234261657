"""Permits, silence and bandwidth; time costs nothing here."""

from __future__ import annotations

import asyncio

import pytest

from domo_files_async.transport.limits import Limits
from tests.transport.tools import in_no_time


def now():
    return asyncio.get_running_loop().time()


async def hold_permit(limits, owner, log, until):
    async with limits.permit(owner):
        log.append(owner)
        await until.wait()


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


@in_no_time
async def test_no_more_permits_are_out_than_the_ceiling_allows():
    limits, most = Limits(3), 0

    async def work():
        nonlocal most
        async with limits.permit("a"):
            most = max(most, limits.in_flight)
            await asyncio.sleep(1)

    await asyncio.gather(*(work() for _ in range(10)))
    assert (most, limits.in_flight, limits.ceiling) == (3, 0, 3)
    assert now() == pytest.approx(4)


@in_no_time
async def test_owners_take_turns_so_that_a_small_upload_is_not_stuck():
    limits, order = Limits(1), []

    async def work(owner, number):
        async with limits.permit(owner):
            order.append((owner, number))
            await asyncio.sleep(0)

    large = [asyncio.create_task(work("large", number)) for number in range(6)]
    await asyncio.sleep(0)
    small = [asyncio.create_task(work("small", number)) for number in range(2)]
    await asyncio.gather(*large, *small)
    owners = "".join(owner[0] for owner, _ in order)
    assert owners == "lllslsll"
    assert [number for owner, number in order if owner == "large"] == list(range(6))


@in_no_time
async def test_a_ceiling_can_rise_and_fall():
    limits, log, done = Limits(1), [], asyncio.Event()
    tasks = [asyncio.create_task(hold_permit(limits, n, log, done)) for n in range(4)]
    await settle()
    assert log == [0]
    limits.set_ceiling(3)
    await settle()
    assert log == [0, 1, 2]
    limits.set_ceiling(1)
    assert limits.in_flight == 3
    done.set()
    await asyncio.gather(*tasks)
    assert limits.in_flight == 0


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("release_first", [True, False])
@in_no_time
async def test_no_permit_is_lost_wherever_a_cancel_comes(steps, release_first):
    limits, log, done = Limits(1), [], asyncio.Event()
    holder = asyncio.create_task(hold_permit(limits, "holder", log, done))
    await asyncio.sleep(0)
    never = asyncio.Event()
    first = asyncio.create_task(hold_permit(limits, "a", log, never))
    second = asyncio.create_task(hold_permit(limits, "a", log, never))
    await asyncio.sleep(0)
    if release_first:
        done.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    first.cancel()
    done.set()
    await settle()
    assert log[-1] == "a"
    assert limits.in_flight == 1
    second.cancel()
    await asyncio.wait({holder, first, second})
    assert limits.in_flight == 0
    async with asyncio.timeout(1), limits.permit("later"):
        pass


@in_no_time
async def test_a_permit_that_was_granted_to_a_cancelled_waiter_goes_to_the_next():
    limits, log, done = Limits(1), [], asyncio.Event()
    done.set()
    async with limits.permit("holder"):
        gone = asyncio.create_task(hold_permit(limits, "gone", log, done))
        heir = asyncio.create_task(hold_permit(limits, "heir", log, done))
        await asyncio.sleep(0)
    # The permit is granted, but its waiter hasn't run yet.
    gone.cancel()
    await asyncio.wait({gone, heir})
    assert log == ["heir"]
    assert limits.in_flight == 0


@in_no_time
async def test_a_turn_that_was_cancelled_just_before_it_came_is_passed_over():
    limits, log, done = Limits(1), [], asyncio.Event()
    done.set()
    async with limits.permit("holder"):
        gone = asyncio.create_task(hold_permit(limits, "a", log, done))
        heir = asyncio.create_task(hold_permit(limits, "a", log, done))
        await asyncio.sleep(0)
        gone.cancel()
    await asyncio.wait({gone, heir})
    assert gone.cancelled()
    assert log == ["a"]
    assert limits.in_flight == 0


@in_no_time
async def test_silence_is_kept_and_only_grows():
    limits = Limits(1)
    await limits.wait_hold()
    assert now() == 0
    limits.hold(10)
    limits.hold(2)
    waiting = asyncio.create_task(limits.wait_hold())
    await asyncio.sleep(9)
    limits.hold(5)
    await waiting
    assert now() == pytest.approx(14)


async def pace_all(limits, size):
    while size:
        size -= await limits.pace(size)


@in_no_time
async def test_bytes_go_at_the_rate_and_tasks_take_turns():
    limits, order = Limits(1, rate=1000), []
    await pace_all(limits, 64 * 1024)

    async def send(name):
        await pace_all(limits, 32 * 1024)
        order.append((name, round(now())))

    await asyncio.gather(send("a"), send("b"))
    assert order == [("a", 49), ("b", 66)]


@in_no_time
async def test_without_a_cap_or_with_a_high_one_all_may_go():
    assert await Limits(1).pace(10**9) == 10**9
    assert await Limits(1, rate=10**9).pace(256 * 1024) == 256 * 1024
    assert await Limits(1, rate=1).pace(256 * 1024) == 16 * 1024


@in_no_time
async def test_a_cap_that_is_lifted_frees_those_who_wait():
    limits = Limits(1, rate=1)
    await pace_all(limits, 64 * 1024)
    waiting = [asyncio.create_task(pace_all(limits, 1_000_000)) for _ in range(3)]
    await asyncio.sleep(10)
    limits.set_rate(None)
    await asyncio.gather(*waiting)
    assert now() == pytest.approx(10)


@in_no_time
async def test_a_cap_that_changes_holds_for_what_waits_already():
    limits = Limits(1, rate=1)
    await pace_all(limits, 64 * 1024)
    waiting = asyncio.create_task(limits.pace(16 * 1024))
    await asyncio.sleep(384)
    limits.set_rate(16_000)
    await waiting
    assert now() == pytest.approx(385)


@in_no_time
async def test_whoever_is_cancelled_while_paced_blocks_nobody():
    limits = Limits(1, rate=1)
    await pace_all(limits, 64 * 1024)
    gone, heir = (asyncio.create_task(limits.pace(1)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await heir
    assert now() == pytest.approx(2)
