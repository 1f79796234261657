"""What can be seen of bodies without a server."""

from __future__ import annotations

import asyncio

import pytest

from domo_files_async.errors import ConnectError, InvalidArgumentError
from domo_files_async.transport.body import Outgoing, StallWatch
from domo_files_async.transport.credentials import Credential
from tests.servers import ScriptedServer, answer
from tests.transport.tools import in_no_time, lent, opened, request


async def test_lent_bytes_can_be_read_again_and_are_not_copied():
    data = memoryview(bytearray(b"abcd"))
    body = lent(data)
    assert (body.size, body.repeatable) == (4, True)
    for _ in range(2):
        (chunk,) = body.chunks()
        assert chunk.obj is data.obj


async def test_a_body_is_no_text():
    outgoing = Outgoing(b"", None, b"", stall=1, pace=None)
    with pytest.raises(TypeError):
        outgoing.decode()


async def test_a_request_refuses_to_be_written_a_second_time(monkeypatch):
    written = []
    once = Outgoing.write

    async def twice(self, writer):
        await once(self, writer)
        with pytest.raises(ConnectionResetError):
            await once(self, writer)
        written.append(self.written)

    async def script(connection):
        _, body = await connection.request()
        assert body == b"abc"
        await connection.send(answer(200, b"1"))

    monkeypatch.setattr(Outgoing, "write", twice)
    async with ScriptedServer(script) as server, opened(server) as http:
        await http.send(request(), lent(b"abc"))
    assert written == [3]


async def test_a_connection_that_was_lost_before_it_was_used_is_known_to_be_unused(monkeypatch):
    write = Outgoing.write

    async def late(self, writer):
        writer.transport.abort()
        await write(self, writer)

    monkeypatch.setattr(Outgoing, "write", late)
    body = lent(b"abc")
    async with ScriptedServer(lambda c: c.rest()) as server, opened(server) as http:
        with pytest.raises(ConnectError) as caught:
            await http.send(request(), body)
        assert not caught.value.request_sent


@pytest.mark.parametrize(
    "shown",
    ["Bearer a/b+c", "a/b+c", "A/B+C", "a%2Fb%2Bc", "a%2fb%2bc", "a/b%2Bc"],
)
def test_a_credential_is_masked_in_all_its_forms(shown):
    hidden = Credential({"Authorization": "Bearer a/b+c", "X-Empty": ""}).hide(f"<{shown}>")
    assert hidden in {"<***>", "<Bearer ***>"}


def test_a_credential_is_masked_in_html_and_json():
    mine = Credential({"X-Token": 'a"b&c\\'})
    for shown in ("a&quot;b&amp;c\\", 'a\\"b&c\\\\'):
        assert mine.hide(f"<{shown}>") == "<***>"
    assert repr(mine) == "Credential(…)"


@pytest.mark.parametrize("value", ["a\nb", "a\x00", "ä"])
def test_what_no_header_can_carry_is_refused(value):
    with pytest.raises(InvalidArgumentError) as caught:
        Credential({"X-Token": value})
    assert value not in str(caught.value)


@in_no_time
async def test_the_watch_sees_bytes_that_leave_by_themselves():
    levels = iter([40, 30, 30, 20, 10])
    watch = StallWatch(8, lambda: next(levels, 10))
    began = asyncio.get_running_loop().time()

    async def wait_for_ever():
        async with watch:
            watch.moved()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await wait_for_ever()
    # The last change is seen at the fifth look, each two seconds after the one before.
    assert asyncio.get_running_loop().time() - began == pytest.approx(10 + 8)


@in_no_time
async def test_the_watch_counts_each_movement_and_no_time_while_paused():
    levels = iter(range(1000))
    watch = StallWatch(8, lambda: next(levels, 0))
    async with watch:
        await asyncio.sleep(100)
        watch.moved()
        for _ in range(5):
            await asyncio.sleep(7)
            watch.moved()
        watch.pause()
        await asyncio.sleep(100)
    watch = StallWatch(8, lambda: 0)
    async with watch:
        watch.moved()
        for _ in range(5):
            await asyncio.sleep(7)
            watch.moved()
    with pytest.raises(TimeoutError):
        async with watch:
            watch.moved()
            await asyncio.sleep(9)


@in_no_time
async def test_what_leaves_while_the_watch_is_paused_does_not_start_it_again():
    levels = iter([3, 2, 1])
    watch = StallWatch(8, lambda: next(levels, 0))
    async with watch:
        watch.moved()
        watch.pause()
        await asyncio.sleep(100)
