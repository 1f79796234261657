"""Connections that a thread receives from; how threads send over one is among the tests of TLS."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import ssl
import threading
from contextlib import asynccontextmanager

import pytest

from domo_files_async.errors import TransportError
from domo_files_async.transport.intake import Intake, _Direct
from domo_files_async.transport.lent import Receiving
from domo_files_async.transport.tls import TlsTransport
from tests.servers import ScriptedServer, answer
from tests.transport.tools import download, opened

DATA = os.urandom(1_500_000)
NOTHING = memoryview(b"")


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def trust(request, contexts):
    return contexts if request.param else (None, None)


class Above(asyncio.Protocol):
    def __init__(self):
        self.data = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.data += data

    def connection_lost(self, exc):
        self.lost.set_result(exc)


@asynccontextmanager
async def receiving(script, trust):
    """Give a connection to a server that plays *script*, ready to be received from."""
    theirs, ours = trust
    async with ScriptedServer(script, tls=theirs) as server:
        loop = asyncio.get_running_loop()
        transport, above = await loop.create_connection(Above, "127.0.0.1", server.port)
        if ours is not None:
            memory = memoryview(bytearray(64 * 1024))
            transport = TlsTransport(transport, above, ours, host="127.0.0.1", memory=memory)
            await transport.handshake()
        transport.pause_reading()
        lent = Receiving.of(transport)
        try:
            yield lent
        finally:
            lent.close()
            transport.abort()
            await above.lost
            assert not above.data


async def all_of(lent, size, *, rest=NOTHING, left=None):
    """Receive so many bytes as a caller would, who comes again when there was nothing."""
    got = bytearray(size)
    lent.begin(size - len(rest) if left is None else left, rest)
    count = 0
    while count < size:
        count += await asyncio.to_thread(lent.receive_into, memoryview(got)[count:])
    lent.end()
    return got


async def test_a_thread_receives_what_came_before_and_what_comes(trust):
    async def script(connection):
        await connection.send(DATA[1000:])
        await connection.rest()

    async with receiving(script, trust) as lent:
        got = await all_of(lent, len(DATA), rest=memoryview(DATA)[:1000])
        assert got == DATA
        assert (lent.given, lent.received) == (len(DATA), len(DATA) - 1000)
        assert not lent.rest


async def test_what_came_before_and_was_not_wanted_is_given_back(trust):
    async with receiving(lambda c: c.rest(), trust) as lent:
        lent.begin(10, memoryview(b"before"))
        view = memoryview(bytearray(4))
        assert await asyncio.to_thread(lent.receive_into, view) == 4
        lent.end()
        assert bytes(view) == b"befo"
        assert bytes(lent.rest) == b"re"
        assert (lent.given, lent.received) == (4, 0)


async def test_a_thread_receives_no_more_than_belongs_to_the_body(trust):
    async def script(connection):
        await connection.send(b"body" + b"next")
        await connection.rest()

    async with receiving(script, trust) as lent:
        view, count = memoryview(bytearray(8)), 0
        lent.begin(4, NOTHING)
        while count < 4:
            count += await asyncio.to_thread(lent.receive_into, view[count:])
        assert bytes(view) == b"body" + bytes(4)
        assert await asyncio.to_thread(lent.receive_into, view) == 0
        lent.end()
        assert await all_of(lent, 4) == b"next"


async def test_a_thread_leaves_a_connection_on_which_nothing_comes(trust):
    sent = asyncio.Event()

    async def script(connection):
        await sent.wait()
        await connection.send(b"late")
        await connection.rest()

    async with receiving(script, trust) as lent:
        view = memoryview(bytearray(10))
        lent.begin(10, NOTHING)
        assert await asyncio.to_thread(lent.receive_into, view) == 0
        sent.set()
        while not (count := await asyncio.to_thread(lent.receive_into, view)):
            pass
        assert bytes(view[:count]) == b"late"
        lent.end()


async def test_a_thread_leaves_a_connection_that_drips(trust):
    async def script(connection):
        for _ in itertools.repeat(None):
            await connection.send(b"x")
            await asyncio.sleep(0)

    async with receiving(script, trust) as lent:
        lent.begin(100_000_000, NOTHING)
        view = memoryview(bytearray(100_000_000))
        assert await asyncio.to_thread(lent.receive_into, view) < len(view)
        lent.end()


async def test_a_thread_is_told_to_leave(trust):
    async with receiving(lambda c: c.rest(), trust) as lent:
        lent.begin(10, memoryview(b"before"))
        lent.stop()
        assert await asyncio.to_thread(lent.receive_into, memoryview(bytearray(10))) == 0
        lent.end()


async def test_a_thread_receives_nothing_of_a_connection_that_was_taken_back(trust):
    async def script(connection):
        await connection.send(DATA)
        await connection.rest()

    async with receiving(script, trust) as lent:
        assert await all_of(lent, 10) == DATA[:10]
        assert await asyncio.to_thread(lent.receive_into, memoryview(bytearray(10))) == 0
        lent.close()
        assert await asyncio.to_thread(lent.receive_into, memoryview(bytearray(10))) == 0


async def test_the_end_of_a_connection_is_left_for_the_loop_to_find(trust):
    async def script(connection):
        await connection.send(b"all")
        connection.close()

    async with receiving(script, trust) as lent:
        view = memoryview(bytearray(10))
        lent.begin(10, NOTHING)
        count = 0
        while count < 3:
            count += await asyncio.to_thread(lent.receive_into, view[count:])
        assert await asyncio.to_thread(lent.receive_into, view[count:]) == 0
        lent.end()


async def test_asyncios_own_tls_is_not_lent(certified):
    theirs, ours = certified[0], ssl.create_default_context(cafile=certified[1])
    async with ScriptedServer(lambda c: c.rest(), tls=theirs) as server:
        loop = asyncio.get_running_loop()
        transport, above = await loop.create_connection(Above, "127.0.0.1", server.port, ssl=ours)
        assert Receiving.of(transport) is None
        transport.abort()
        await above.lost


async def test_where_too_many_files_are_open_nothing_is_lent(trust, monkeypatch):
    def refuse(_fd):
        raise OSError(errno.EMFILE, "Too many open files")

    async with replying(DATA, trust) as reply:
        monkeypatch.setattr(os, "dup", refuse)
        assert await reply.lend(pytest.fail) is None
        view, count = memoryview(bytearray(len(DATA))), 0
        while count < len(DATA):
            count += await reply.fill(view[count:])
        assert view == DATA


@asynccontextmanager
async def replying(body, trust, *, length=None):
    """Give an answer of which the whole body comes."""

    async def script(connection):
        await connection.head()
        await connection.send(answer(200, body, length=length))
        if length is not None:
            connection.close()
        await connection.rest()

    theirs, ours = trust
    async with ScriptedServer(script, tls=theirs) as server, opened(server, ssl=ours) as http:
        async with http.open_stream(download()) as reply:
            yield reply


async def test_an_answer_is_received_in_a_thread(trust):
    got, names = bytearray(), set()

    def receive_all(receive):
        names.add(threading.current_thread().name)
        view = memoryview(bytearray(len(DATA)))
        while count := receive(view):
            got.extend(view[:count])

    async with replying(DATA, trust) as reply:
        while len(got) < len(DATA):
            before = len(got)
            count = await reply.lend(lambda receive: asyncio.to_thread(receive_all, receive))
            assert count == len(got) - before
        assert got == DATA
        assert await reply.fill(memoryview(bytearray(10))) == 0
    assert threading.main_thread().name not in names


async def test_what_breaks_off_in_a_thread_breaks_off_on_the_loop(trust):
    view = memoryview(bytearray(len(DATA)))
    async with replying(DATA, trust, length=len(DATA) + 1) as reply:
        count = 0
        while count < len(DATA):
            count += await reply.lend(
                lambda receive: asyncio.to_thread(lambda: view[: receive(view)])
            )
        assert not await reply.lend(lambda receive: asyncio.to_thread(receive, view))
        with pytest.raises(Exception, match="broke off"):
            await reply.fill(view)


async def test_a_thread_that_is_cancelled_is_waited_for(trust):
    begun, told, released = threading.Event(), asyncio.Event(), threading.Event()

    def receive_for_ever(receive):
        view = memoryview(bytearray(1000))
        begun.set()
        while receive(view):
            pass
        assert released.wait(30)

    async def moving(receive):
        job = asyncio.get_running_loop().run_in_executor(None, receive_for_ever, receive)
        try:
            await asyncio.shield(job)
        except asyncio.CancelledError:
            told.set()
            await job
            raise

    async with replying(DATA, trust) as reply:
        task = asyncio.create_task(reply.lend(moving))
        while not begun.is_set():
            await asyncio.sleep(0)
        for _ in range(2):
            task.cancel()
            await told.wait()
            for _ in range(10):
                await asyncio.sleep(0)
            assert not task.done()
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_what_a_thread_did_not_want_is_there_for_the_loop(trust):
    view, first = memoryview(bytearray(len(DATA))), memoryview(bytearray(10))
    async with replying(DATA, trust) as reply:
        while not (count := await reply.lend(lambda receive: asyncio.to_thread(receive, first))):
            pass
        view[:count] = first[:count]
        while count < len(DATA):
            count += await reply.fill(view[count:])
        assert view == DATA


async def test_what_is_no_tls_ends_an_answer(contexts):
    is_answered = asyncio.Event()

    async def script(connection):
        await connection.head()
        await connection.send(answer(200, length=len(DATA)))
        await is_answered.wait()
        raw = connection.writer.transport._ssl_protocol._transport
        raw.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        await connection.rest()

    theirs, ours = contexts
    view = memoryview(bytearray(len(DATA)))
    async with ScriptedServer(script, tls=theirs) as server, opened(server, ssl=ours) as http:
        async with http.open_stream(download()) as reply:
            is_answered.set()
            with pytest.raises(TransportError):
                while True:
                    await reply.lend(lambda receive: asyncio.to_thread(receive, view))
                    await reply.fill(view)


async def test_what_has_to_be_said_meanwhile_is_said_afterwards(contexts):
    class Saying:
        said = b"new keys"

        def leave(self):
            said, self.said = self.said, b""
            return said

        def arrive(self, data):
            assert not data

    async with receiving(lambda c: c.rest(), contexts) as lent:
        lent.begin(10, NOTHING)
        saying = lent._tls._tls = Saying()
        lent.end()
        assert not saying.said


async def test_nothing_is_lent_while_bytes_wait_that_came_in_between():
    async with ScriptedServer(lambda c: c.rest()) as server:
        loop = asyncio.get_running_loop()
        transport, above = await loop.create_connection(Above, "127.0.0.1", server.port)
        direct = _Direct(transport, above, 1000, lambda: None)
        direct.get_buffer(3)[:3] = b"abc"
        direct.buffer_updated(3)
        assert direct.lend(NOTHING) is None
        view = memoryview(bytearray(3))
        assert await direct.fill(view, lambda: None) == 3
        lent = direct.lend(NOTHING)
        assert lent is not None
        direct.take_back(lent)
        transport.abort()
        await above.lost


async def test_what_is_raised_in_a_thread_comes_out(trust):
    async def moving(_receive):
        raise LookupError("no room")

    async with replying(DATA, trust) as reply:
        with pytest.raises(LookupError, match="no room"):
            await reply.lend(moving)


async def test_an_answer_without_length_is_the_loops():
    async def script(connection):
        await connection.head()
        await connection.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        )
        await connection.rest()

    async with ScriptedServer(script) as server, opened(server) as http:
        async with http.open_stream(download()) as reply:
            assert await reply.lend(pytest.fail) is None
            assert await reply.fill(memoryview(bytearray(10))) == 3


def test_nothing_is_lent_of_an_answer_that_has_no_connection_any_more():
    class Answer:
        connection = None

        class content:  # noqa: N801 - as it is read
            @staticmethod
            def exception():
                return None

    assert Intake(Answer(), 1_000_000).lend() is None
