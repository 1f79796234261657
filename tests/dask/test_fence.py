"""What is lent to a worker, for how long, and what goes between it and the coordinator."""

from __future__ import annotations

import asyncio
import math
import pickle
import time

import pytest

from domo_files_async import bulk
from domo_files_async.bulk.carry import Flight, Made
from domo_files_async.bulk.items import measured
from domo_files_async.bulk.journal import LARGE
from domo_files_async.dask.desk import Desk, DeskPlugin, tools
from domo_files_async.dask.large import carry_large, cut
from domo_files_async.dask.parts import send_parts
from domo_files_async.dask.words import (
    Failed,
    Loaded,
    Mail,
    Order,
    Partly,
    Parts,
    PartsSent,
    Sent,
    Silent,
    State,
    Told,
)
from domo_files_async.errors import AuthenticationError, NotFoundError
from domo_files_async.events import RequestFinished
from domo_files_async.planning.parts import PartPlan
from tests.dask.cluster import factory_for


async def some_turns():
    for _ in range(50):
        await asyncio.sleep(0)


async def test_nothing_is_begun_while_nothing_is_lent(emulator):
    async with emulator.session("ada") as domo:
        limits, now = tools(domo).limits, asyncio.get_running_loop().time
        await domo.upload_file(b"1", name="1")
        session_id = await domo.create_multipart_session(name="2", content_type="text/plain")
        await domo.upload_part(session_id, 1, b"2")
        before = len(emulator.requests)
        limits.lend(now())
        work = [
            asyncio.create_task(domo.upload_file(b"3", name="3")),
            asyncio.create_task(domo.commit_multipart_session(session_id)),
        ]
        # Where it was begun, it would have come by the time that another session's request has.
        async with emulator.session("ada") as other:
            await other.list_files()
            await other.list_files()
        assert len(emulator.requests) == before + 2
        limits.lend(math.inf)
        await asyncio.gather(*work)
    assert len(emulator.files) == 3


async def test_a_body_is_not_gone_on_with_once_the_time_is_over(emulator):
    async with emulator.session("ada") as domo:
        limits = tools(domo).limits
        is_half, go_on = asyncio.Event(), asyncio.Event()

        async def halves():
            yield b"a" * 1000
            is_half.set()
            await go_on.wait()
            yield b"b" * 1000

        sending = asyncio.create_task(domo.upload_file(halves(), name="halves"))
        await is_half.wait()
        limits.lend(0)
        go_on.set()
        await some_turns()
        async with emulator.session("ada") as other:
            assert await other.list_files() == []
        assert not sending.done()
        sending.cancel()
        await asyncio.wait({sending})
    assert emulator.files == {}


async def test_no_permit_is_given_above_a_ceiling_that_was_lowered(emulator):
    async with emulator.session("ada") as domo:
        limits = tools(domo).limits
        limits.set_ceiling(0)
        sending = asyncio.create_task(domo.upload_file(b"1", name="1"))
        await some_turns()
        assert (limits.in_flight, emulator.requests) == (0, [])
        limits.set_ceiling(1)
        await sending
    assert emulator.max_in_flight == 1


async def test_mail_that_comes_late_renews_nothing_and_is_not_obeyed(emulator):
    desk = Desk()
    await desk.open(factory_for(emulator))
    limits, now = desk._shared.limits, asyncio.get_running_loop().time
    try:
        state = desk.take(Mail(serial=1, share=3, lease=60))
        assert now() >= limits._lent_until
        desk.take(Mail(serial=2, share=3, lease=60, heard=state.at))
        assert now() < limits._lent_until == state.at + 60
        desk.take(Mail(serial=3, share=2, lease=60, heard=state.at - 100))
        assert now() >= limits._lent_until
        state = desk.take(Mail(serial=2, share=9, lease=60, heard=now()))
        assert now() >= limits._lent_until
        assert state.share == 2
    finally:
        await desk.close()


def again(word):
    return pickle.loads(pickle.dumps(word))  # noqa: S301 - our own


ITEM = bulk.Item(source="/x", size=10, fingerprint="1")
FLIGHT = Flight(name="x", size=10, sha256=None, fingerprint="1", target=None)
MADE = Made(data_file_id=1, revision_id=2, size=10, sha256=None, attempts=1)
EVENT = RequestFinished(
    operation="upload_file", method="POST", path="/", attempt=1, status=200, size=1, elapsed=0.1
)
PARTS = Parts(
    number=1,
    item=ITEM,
    session_id="7",
    content_type="text/plain",
    plan=PartPlan(10, 3),
    first=2,
    last=4,
)


@pytest.mark.parametrize(
    "word",
    [
        Mail(serial=1, orders=(Order(1, ITEM, None), PARTS), go=(1,), drop=(2,), share=1, lease=1),
        State("desk", 1.0, 2),
        Told(
            "desk",
            1.0,
            (Loaded(1, FLIGHT), Partly(1, MADE), Sent(1, MADE), PartsSent(1, 2), Silent(1)),
            (EVENT,),
        ),
        bulk.Outcome(item=ITEM, status=bulk.Status.UPLOADED, data_file_id=1),
    ],
    ids=lambda word: type(word).__name__,
)
def test_what_is_said_survives_pickling(word):
    assert again(word) == word


def test_parts_know_their_bytes():
    assert PARTS.size == 7


async def test_an_error_and_a_plugin_carry_no_secret(emulator, monkeypatch):
    token = emulator.credential("ada")
    monkeypatch.setenv("DOMO_INSTANCE", emulator.url)
    monkeypatch.setenv("DOMO_ACCESS_TOKEN", token)
    async with emulator.session("ada") as domo:
        with pytest.raises(NotFoundError) as missing:
            await domo.get_file(12345)
        emulator.faults.add("*", status=401)
        with pytest.raises(AuthenticationError) as refused:
            await domo.get_file(12345)
    from domo_files_async import DomoFilesSession  # noqa: PLC0415 - as the factory has it

    plugin = pickle.dumps(DeskPlugin("name", DomoFilesSession.from_env))
    for error in (missing.value, refused.value):
        said = pickle.dumps(Told("desk", 1.0, (Failed(1, error),), ()))
        assert str(again(Failed(1, error)).error) == str(error)
        plugin += said
    outcome = bulk.Outcome(item=ITEM, status=bulk.Status.FAILED, error=missing.value)
    assert str(again(outcome).error) == str(missing.value)
    assert token.encode() not in plugin + pickle.dumps(outcome)


class SlowlyLost:
    """Sends parts itself, and says that somebody who was lost may send them, too, for a while."""

    size = 2

    def __init__(self, shared):
        self._shared = shared
        self.until = 0.0

    async def have_sent(self, order):
        attempts = await send_parts(self._shared, order(1))
        self.until = time.monotonic() + 0.3
        return attempts, self.until


class Silently:
    """Keeps no journal."""

    async def started(self, flight):
        assert flight.sha256 is None

    async def made(self, made):
        assert made.size == 2 * LARGE


async def test_a_desk_that_could_not_be_opened_is_left_in_peace():
    def factory():
        raise RuntimeError("no credential on this worker")

    plugin = DeskPlugin("run", factory)
    with pytest.raises(RuntimeError, match="no credential"):
        await plugin.setup(None)
    await plugin.teardown(None)


async def test_no_commit_while_a_lost_worker_may_still_send(emulator, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(2 * LARGE))
    async with emulator.session("ada") as domo:
        shared = tools(domo)
        pieces = await cut(shared, measured(bulk.Item(source=str(path))))
        sender = SlowlyLost(shared)
        committed = []

        def see(event):
            if isinstance(event, RequestFinished) and event.operation.startswith("commit"):
                committed.append(time.monotonic())

        with domo.observing(see):
            made = await carry_large(domo, shared, pieces, None, Silently(), sender)
    assert (made.attempts, made.size) == (2, 2 * LARGE)
    assert len(committed) == 1
    assert committed[0] >= sender.until


async def test_what_is_small_or_unknown_is_not_cut(emulator, tmp_path):
    path = tmp_path / "large"
    path.write_bytes(bytes(LARGE))
    async with emulator.session("ada") as domo:
        shared = tools(domo)
        assert await cut(shared, ITEM) is None
        assert await cut(shared, bulk.Item(source=str(path))) is None
        assert await cut(shared, measured(bulk.Item(source=str(path)))) is None
        gone = bulk.Item(source=str(tmp_path / "gone"), size=2 * LARGE, fingerprint="1")
        assert await cut(shared, gone) is None
        gone = bulk.Item(source=gone.source.replace("/", "file:///", 1), size=2 * LARGE)
        assert await cut(shared, gone) is None
