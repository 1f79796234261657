"""Permits, silence and bandwidth; time costs nothing here."""

from __future__ import annotations

import asyncio

import pytest

from domo_files_async import DeveloperToken, DomoFilesSession, RetryPolicy, TransferConfig
from domo_files_async.transport.limits import Limits
from tests.servers import ScriptedServer, answer
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


async def send_all(limits, count, seconds, rate):
    """Send *count* bodies of ten megabytes; *rate* says how fast each of so many goes."""
    most = 0

    async def send():
        nonlocal most
        async with limits.permit("a"):
            most = max(most, limits.in_flight)
            moved, last = 0.0, now()

            def gauge():
                nonlocal moved, last
                moved += (now() - last) * rate(max(1, limits.in_flight))
                last = now()
                return int(moved)

            with limits.metered(gauge):
                while gauge() < 10_000_000:
                    await asyncio.sleep(0.02)

    limits.replied(0.005)
    async with asyncio.timeout(seconds):
        await asyncio.gather(*(send() for _ in range(count)))
    return most


@in_no_time
async def test_where_each_request_brings_its_own_share_all_permits_are_given_out():
    limits = Limits(32, adaptive=True)
    assert limits.limit == 4

    assert await send_all(limits, 100, 100, lambda _: 5_000_000) == 32
    assert limits.in_flight == 0
    assert limits.each == pytest.approx(5_000_000, rel=0.1)


@in_no_time
async def test_where_all_share_what_there_is_few_permits_are_given_out():
    limits = Limits(32, adaptive=True)

    await send_all(limits, 100, 1_000, lambda n: 50_000_000 / n)
    assert limits.limit <= 5


@in_no_time
async def test_what_is_not_adaptive_gives_out_all_permits_whatever_happens():
    limits = Limits(32)
    limits.refuse(0)
    limits.replied(1)

    assert limits.limit == 32
    assert await send_all(limits, 40, 1_000, lambda n: 50_000_000 / n) == 32


@in_no_time
async def test_refused_requests_leave_fewer_permits():
    limits, log, done = Limits(32, adaptive=True), [], asyncio.Event()
    tasks = [asyncio.create_task(hold_permit(limits, n, log, done)) for n in range(6)]
    await settle()
    assert log == [0, 1, 2, 3]
    limits.refuse(now())
    assert limits.limit == 3
    async with asyncio.timeout(1):
        done.set()
        await asyncio.gather(*tasks)


@in_no_time
async def test_silence_is_not_measured():
    limits = Limits(32, adaptive=True)
    limits.hold(100)
    done = asyncio.Event()
    tasks = [asyncio.create_task(hold_permit(limits, n, [], done)) for n in range(4)]
    await asyncio.sleep(90)
    assert limits.limit == 4
    done.set()
    await asyncio.gather(*tasks)


@in_no_time
async def test_what_breaks_off_does_not_count():
    limits = Limits(2, adaptive=True)
    with pytest.raises(OSError, match="gone"), limits.metered(lambda: 10**9):
        raise OSError("gone")

    assert limits.each == 0


@in_no_time
async def test_how_fast_each_is_is_waited_for_once():
    limits = Limits(2)
    for _ in range(20):
        await limits.wait_each(0.5)
    assert now() == pytest.approx(0.5)
    with limits.metered(lambda: 10_000_000):
        await asyncio.sleep(1)
    await limits.wait_each(0.5)
    assert limits.each == pytest.approx(10_000_000)
    assert now() == pytest.approx(1.5)


@in_no_time
async def test_bytes_that_come_count_where_a_permit_is_held():
    limits, done = Limits(32, adaptive=True), asyncio.Event()
    limits.replied(0.005)

    async def receive():
        async with limits.permit("a"):
            while not done.is_set():
                limits.received(100_000)
                await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(receive()) for _ in range(40)]
    await asyncio.sleep(3)
    assert limits.limit == 32
    done.set()
    await asyncio.gather(*tasks)


@in_no_time
async def test_bytes_that_come_elsewhere_do_not_count():
    limits, done = Limits(32, adaptive=True), asyncio.Event()
    limits.replied(0.005)
    tasks = [asyncio.create_task(hold_permit(limits, n, [], done)) for n in range(40)]
    for _ in range(1000):
        limits.received(100_000)
        await asyncio.sleep(0.02)
    assert limits.limit == 4
    done.set()
    await asyncio.gather(*tasks)


@in_no_time
async def test_a_new_bandwidth_cap_is_measured_anew():
    limits = Limits(32, adaptive=True)
    await send_all(limits, 60, 1_000, lambda n: 50_000_000 / n)
    assert limits.limit <= 5
    assert "doubling" not in repr(limits)
    limits.set_rate(10**9)
    assert "doubling" in repr(limits)


@in_no_time
async def test_whoever_rests_lends_the_permit_and_gets_it_back_first():
    limits, order = Limits(1), []

    async def patient():
        async with limits.permit("patient"):
            order.append("sent")
            await limits.rest(asyncio.sleep(5))
            order.append("sent again")
            assert limits.in_flight == 1

    async def work(owner):
        async with limits.permit(owner):
            order.append(owner)
            await asyncio.sleep(3)

    await asyncio.gather(patient(), *(work(owner) for owner in "abc"))
    assert order == ["sent", "a", "b", "sent again", "c"]
    assert limits.in_flight == 0


@in_no_time
async def test_whoever_has_no_permit_rests_all_the_same():
    limits = Limits(1)
    await limits.rest(asyncio.sleep(5))
    assert (now(), limits.in_flight) == (5, 0)


@pytest.mark.parametrize("seconds", [1, 6])
@in_no_time
async def test_whoever_is_cancelled_at_rest_or_while_getting_the_permit_back_has_none(seconds):
    limits, done = Limits(1), asyncio.Event()

    async def patient():
        async with limits.permit("patient"):
            await limits.rest(asyncio.sleep(5))

    resting = asyncio.create_task(patient())
    await asyncio.sleep(0)
    other = asyncio.create_task(hold_permit(limits, "other", [], done))
    await asyncio.sleep(seconds)
    resting.cancel()
    await asyncio.wait({resting})
    assert limits.in_flight == 1
    done.set()
    await other
    assert limits.in_flight == 0


@in_no_time
async def test_callers_at_their_own_pace_hold_nobody_up_below_the_ceiling():
    limits, log, done = Limits(6, adaptive=True), [], asyncio.Event()

    async def read(name):
        async with limits.leisurely_permit(name):
            log.append(name)
            await done.wait()

    readers = [asyncio.create_task(read(n)) for n in range(5)]
    await settle()
    uploads = [asyncio.create_task(hold_permit(limits, f"up{n}", log, done)) for n in range(2)]
    late = asyncio.create_task(read("late"))
    await settle()
    assert log == [0, 1, 2, 3, 4, "up0"]
    assert limits.in_flight == 1
    late.cancel()
    await settle()
    done.set()
    await asyncio.gather(*readers, *uploads)
    assert log[-1] == "up1"
    assert limits.in_flight == 0


@pytest.mark.parametrize("ceiling", [1, 2, 5])
@in_no_time
async def test_callers_at_their_own_pace_never_have_the_last_place(ceiling):
    limits, log, done = Limits(ceiling), [], asyncio.Event()

    async def read(name):
        async with limits.leisurely_permit(name):
            log.append(name)
            await done.wait()

    readers = [asyncio.create_task(read(n)) for n in range(9)]
    await settle()
    upload = asyncio.create_task(hold_permit(limits, "upload", log, done))
    await settle()
    assert log == [*range(max(1, ceiling - 1)), "upload"]
    done.set()
    await asyncio.gather(upload, *readers)
    assert len(log) == 10


@pytest.mark.parametrize("is_leisurely", [True, False])
@in_no_time
async def test_whoever_waits_for_its_caller_lends_the_permit_and_has_it_back_at_once(is_leisurely):
    limits, log, done = Limits(1), [], asyncio.Event()

    async def begin(name, waits):
        if is_leisurely:
            async with limits.leisurely_permit(name) as lending:
                with lending:
                    await asyncio.sleep(waits)
                log.append((name, round(now(), 2)))
                await done.wait()
        else:
            async with limits.permit(name):
                with limits.lending():
                    await asyncio.sleep(waits)
                log.append((name, round(now(), 2)))
                await done.wait()

    first = asyncio.create_task(begin("slow", 5))
    await asyncio.sleep(0)
    second = asyncio.create_task(begin("prompt", 0.05))
    third = asyncio.create_task(begin("late", 0.05))
    await asyncio.sleep(6)
    # Two are under way, since what has begun isn't held up; nobody else begins.
    assert log == [("prompt", 0.15), ("slow", 5)]
    done.set()
    await asyncio.gather(first, second, third)
    assert log[-1] == ("late", 6.05)
    assert (limits.in_flight, limits._leisurely) == (0, 0)


@in_no_time
async def test_a_permit_is_given_back_once_wherever_its_lender_stops():
    limits = Limits(1)
    async with limits.leisurely_permit("a") as lending:
        lending.begin()
        lending.begin()
        await asyncio.sleep(1)
        assert limits._leisurely == 0
    lending.begin()
    lending.lend()
    lending.end()
    assert limits._leisurely == 0

    async def wait():
        async with limits.permit("b"):
            with limits.lending():
                await asyncio.sleep(9)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(1)
    assert limits.in_flight == 0
    waiting.cancel()
    await asyncio.wait({waiting})
    assert limits.in_flight == 0


@in_no_time
async def test_a_transfer_has_as_much_under_way_as_there_are_permits_and_a_little_ahead():
    limits = Limits(32, adaptive=True)
    room, entered = limits.room(2), 0

    async def enter():
        nonlocal entered
        while True:
            await room.enter()
            entered += 1

    entering = asyncio.create_task(enter())
    await settle()
    assert entered == 6
    room.leave()
    await settle()
    assert entered == 7
    await send_all(limits, 100, 100, lambda _: 5_000_000)
    await settle()
    assert entered == 32 + 3
    entering.cancel()
    await asyncio.wait({entering})


MOST = 3
ANSWER = b'{"sessionId":"1","dataFileId":7,"revisionId":8,"publicAccess":false,"entries":[]}'


class CountingServer:
    """Refuses parts above so many at once; the first ones wait until that has happened."""

    def __init__(self):
        self.at_once = self.refused = 0
        self.was_full = asyncio.Event()

    async def play(self, connection):
        while True:
            head, _ = await connection.request()
            if "/part/" not in head.target:
                await connection.send(answer(200, ANSWER, {"Content-Type": "application/json"}))
                continue
            self.at_once += 1
            if self.at_once > MOST:
                self.refused += 1
                self.was_full.set()
                await connection.send(answer(429))
            else:
                await self.was_full.wait()
                await connection.send(answer(200))
            self.at_once -= 1


async def test_a_server_that_refuses_some_is_asked_less_and_gets_all():
    counting = CountingServer()
    async with ScriptedServer(counting.play) as server:
        async with DomoFilesSession(
            server.origin,
            auth=DeveloperToken("x"),
            transfer=TransferConfig(multipart_threshold=0, part_size=1000),
            retry=RetryPolicy(initial_backoff=0.001),
        ) as domo:
            result = await domo.upload(bytes(100_000), name="x")

    assert result.parts == 100
    assert result.attempts == 100 + counting.refused
    assert 1 <= counting.refused <= 5
