"""TLS of our own, seen from above, with asyncio's at the other end; and threads that send over it."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest

from domo_files_async.openssl import OpenSSLContext
from domo_files_async.transport.lent import Sending
from domo_files_async.transport.senders import Senders
from domo_files_async.transport.tls import RECORDS, TlsTransport, default_context
from tests.servers import ScriptedServer
from tests.transport.tools import opened, read, request

MIB = 1024 * 1024


class Above(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self):
        self.told = []
        self.data = bytearray()
        self.moved = asyncio.Event()
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.data += data
        self.moved.set()

    def eof_received(self):
        self.told.append("eof")

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")
        self.moved.set()

    def connection_lost(self, exc):
        self.told.append("lost")
        self.moved.set()
        self.lost.set_result(exc)

    async def until(self, is_so):
        while not is_so():
            self.moved.clear()
            await self.moved.wait()


@asynccontextmanager
async def connected(script, contexts, *, shaken=True, host="127.0.0.1", buffer=None):
    """Give a TLS transport to a server that plays *script*, and what is above."""
    theirs, ours = contexts
    async with ScriptedServer(script, tls=theirs, buffer=buffer) as server:
        loop = asyncio.get_running_loop()
        below, above = await loop.create_connection(Above, "127.0.0.1", server.port)
        memory = memoryview(bytearray(64 * 1024))
        transport = TlsTransport(below, above, ours, host=host, memory=memory)
        try:
            if shaken:
                await transport.handshake()
            yield transport, above
        finally:
            transport.abort()
            await above.lost


async def echo(connection):
    while data := await connection.reader.read(MIB):
        await connection.send(data)


async def test_bytes_of_any_size_go_both_ways(contexts):
    sent = [bytes([size % 251]) * size for size in (1, 16_384, 16_385, 300_000, 3, 2 * MIB)]
    async with connected(echo, contexts) as (transport, above):
        for data in sent:
            transport.write(memoryview(data))
        await above.until(lambda: len(above.data) == sum(map(len, sent)))
        assert above.data == b"".join(sent)
        assert transport.get_write_buffer_size() == 0
        standard = transport.get_extra_info("ssl_object")
        assert (standard is None) == isinstance(contexts[1], OpenSSLContext)
        assert standard is None or standard.version().startswith("TLS")
        assert transport.get_extra_info("sslcontext") is contexts[1]
        assert transport.get_extra_info("peername")[0] == "127.0.0.1"
        assert transport.get_protocol() is above
        assert not transport.can_write_eof()


async def test_nothing_is_passed_on_while_reading_is_paused(contexts):
    async with connected(echo, contexts) as (transport, above):
        transport.pause_reading()
        assert not transport.is_reading()
        transport.write(b"x" * 100_000)
        lost = asyncio.create_task(asyncio.wait_for(asyncio.shield(above.lost), 0.05))
        with pytest.raises(TimeoutError):
            await lost
        assert not above.data
        transport.resume_reading()
        assert transport.is_reading()
        await above.until(lambda: len(above.data) == 100_000)


async def test_what_pauses_in_the_middle_gets_the_rest_later(contexts):
    async with connected(echo, contexts) as (transport, above):

        class Sipping(asyncio.BufferedProtocol):
            """Pauses after each sip."""

            def get_buffer(self, _):
                self.sip = memoryview(bytearray(1000))
                return self.sip

            def buffer_updated(self, nbytes):
                above.data_received(self.sip[:nbytes])
                transport.pause_reading()
                asyncio.get_running_loop().call_soon(transport.resume_reading)

            def connection_lost(self, exc):
                above.connection_lost(exc)

        transport.set_protocol(Sipping())
        data = bytes(range(250)) * 160
        transport.write(data)
        await above.until(lambda: len(above.data) == len(data))
        assert above.data == data


async def test_whoever_closes_says_farewell(contexts):
    said = []

    async def script(connection):
        said.append(await connection.reader.read())

    async with connected(script, contexts) as (transport, above):
        transport.write(b"last words")
        transport.close()
        transport.write(b"ignored")
        assert transport.is_closing()
        assert await above.lost is None
        assert above.told == ["lost"]
    assert said == [b"last words"]


@pytest.mark.parametrize("is_reset", [False, True], ids=["farewell", "reset"])
async def test_the_end_comes_after_all_that_was_sent(contexts, is_reset):
    async def script(connection):
        await connection.reader.readexactly(2)
        await connection.send(b"a" * 200_000)
        if is_reset:
            await connection.reader.readexactly(2)
            connection.reset()
        else:
            connection.close()

    async with connected(script, contexts) as (transport, above):
        transport.write(b"go")
        await above.until(lambda: len(above.data) == 200_000)
        transport.write(b"on")
        failure = await above.lost
        assert above.told == (["lost"] if is_reset else ["eof", "lost"])
        assert isinstance(failure, ConnectionError) == is_reset


async def test_bytes_that_are_not_tls_end_it(contexts):
    async with connected(echo, contexts) as (transport, above):
        raw = transport._below
        transport.buffer_updated(_put(transport, b"\x17\x03\x03\x00\x05hello"))
        assert isinstance(await above.lost, ssl.SSLError)
        assert raw.is_closing()


def _put(transport, data):
    transport.get_buffer(-1)[: len(data)] = data
    return len(data)


async def test_another_name_is_not_trusted(contexts):
    async def talk(connection):
        await connection.send(b"trust me")
        await connection.rest()

    async with connected(talk, contexts, shaken=False, host="example.com") as (transport, above):
        with pytest.raises(ssl.SSLCertVerificationError):
            await transport.handshake()
        assert transport.is_closing()
        transport.write(b"secret")
        await above.lost
        assert not above.data


async def test_a_server_that_leaves_in_the_handshake_is_told(contexts):
    async def script(connection):
        await connection.reader.read(1)
        connection.close()

    _, ours = contexts
    async with connected(script, (None, ours), shaken=False) as (transport, _):
        with pytest.raises(OSError, match="TLS handshake"):
            await transport.handshake()


async def test_a_connection_lost_in_the_handshake_is_told(contexts):
    async with connected(echo, contexts, shaken=False) as (transport, above):
        shaking = asyncio.create_task(transport.handshake())
        await asyncio.sleep(0)
        transport.abort()
        with pytest.raises(ConnectionResetError, match="TLS handshake"):
            await shaking
        assert await above.lost is None


async def test_what_is_written_while_keys_change_goes_after_that(contexts):
    class Changing:
        """Wants to hear something before it goes on, as when a server asks for new keys."""

        def __init__(self, tls):
            self._tls = tls
            self.is_changing = True

        def encrypt(self, data):
            if self.is_changing:
                raise ssl.SSLWantReadError
            return self._tls.encrypt(data)

        def __getattr__(self, name):
            return getattr(self._tls, name)

    async with connected(echo, contexts) as (transport, above):
        changing = transport._tls = Changing(transport._tls)
        for part in (b"one, ", b"two, ", b"three"):
            transport.write(part)
        assert transport.get_write_buffer_size() == len(b"one, two, three")
        assert above.told == ["pause"]
        transport._go_on()
        changing.is_changing = False
        transport._go_on()
        assert above.told == ["pause", "resume"]
        await above.until(lambda: len(above.data) == len(b"one, two, three"))
        assert above.data == b"one, two, three"


async def test_what_comes_early_asks_a_lent_connection_back(contexts):
    async def script(connection):
        await connection.reader.readexactly(2)
        await connection.send(b"early")
        await connection.rest()

    async with connected(script, contexts) as (transport, above):
        lent = Sending.of(transport)
        assert lent.begin()
        assert lent.send(memoryview(b"go")) == 2
        # What the server says after a handshake comes first.
        while not above.data:
            while not lent.is_wanted:
                await asyncio.sleep(0)
            assert not above.data
            lent.end()
            assert not lent.is_wanted
            assert lent.begin()
        lent.end()
        assert above.data == b"early"
        lent.close()


async def test_what_came_before_a_lent_connection_was_lost_is_passed_on(contexts):
    over = asyncio.Event()

    async def script(connection):
        await connection.send(b"hello ")
        await connection.reader.readexactly(2)
        await connection.send(b"early")
        await over.wait()
        connection.reset()

    async with connected(script, contexts) as (transport, above):
        await above.until(lambda: above.data == b"hello ")
        lent = Sending.of(transport)
        assert lent.begin()
        lent.send(memoryview(b"go"))
        while not lent.is_wanted:
            await asyncio.sleep(0)
        over.set()
        while not transport._is_lost:
            await asyncio.sleep(0)
        assert above.data == b"hello "
        assert not above.told
        lent.end()
        await above.lost
        assert above.data == b"hello early"
        lent.close()


async def test_a_lent_connection_that_is_closed_is_wanted_back(contexts):
    async with connected(echo, contexts) as (transport, above):
        lent = Sending.of(transport)
        assert lent.begin()
        transport.close()
        assert lent.is_wanted
        lent.end()
        assert not lent.begin()
        await above.lost
        lent.close()


async def test_a_connection_is_lent_only_when_nothing_is_on_its_way(contexts):
    async def script(connection):
        connection.writer.transport.pause_reading()
        await asyncio.Event().wait()

    async with connected(script, contexts, buffer=4096) as (transport, _):
        lent = Sending.of(transport)
        transport.write(bytes(16 * MIB))
        assert transport.get_write_buffer_size() > 0
        assert not lent.begin()
        assert await Senders(1).send(lent, memoryview(bytes(MIB)), pytest.fail) == 0
        lent.close()


async def test_only_connections_of_ours_with_tls_are_lent():
    async with ScriptedServer(lambda c: c.rest()) as server:
        loop = asyncio.get_running_loop()
        below, above = await loop.create_connection(Above, "127.0.0.1", server.port)
        assert Sending.of(below) is None
        below.abort()
        await above.lost


async def test_connections_that_take_nothing_hold_up_no_other(contexts):
    async def script(connection):
        head = await connection.head()
        if "stuck" in head.target:
            connection.writer.transport.pause_reading()
            await asyncio.Event().wait()
        await connection.body(int(head.headers["content-length"]))
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    theirs, ours = contexts
    body = memoryview(bytes(8 * MIB))
    async with (
        ScriptedServer(script, tls=theirs, buffer=65536) as server,
        opened(server, ssl=ours, stall=60) as http,
    ):
        stuck = [
            asyncio.create_task(http.send(request(path="/stuck"), _Held(body))) for _ in range(20)
        ]
        assert (
            await asyncio.gather(
                *(http.send(request(path="/well", reader=read), _Held(body)) for _ in range(4))
            )
            == [b"ok"] * 4
        )
        for task in stuck:
            task.cancel()
        await asyncio.wait(stuck)
        assert all(task.cancelled() for task in stuck)


class _Held:
    repeatable = True

    def __init__(self, view):
        self._view = view
        self.size = len(view)

    def chunks(self):
        return [self._view]


async def test_a_thread_sends_all_but_what_is_written_by_the_loop(contexts):
    size = 10 * RECORDS + 5
    got = asyncio.get_running_loop().create_future()

    async def script(connection):
        got.set_result(await connection.reader.readexactly(size))

    data = bytes(index % 249 for index in range(256)) * (size // 256 + 1)
    view = memoryview(data)[:size]
    senders, counted = Senders(1), []
    async with connected(script, contexts) as (transport, _):
        lent = Sending.of(transport)
        rest = view[:-5]
        while rest:
            rest = rest[await senders.send(lent, rest, counted.append) :]
        transport.write(view[-5:])
        assert await got == view
        lent.close()
    assert sum(counted) == size - 5
    senders.close()


@pytest.mark.parametrize("times", [1, 3])
async def test_whoever_is_cancelled_has_the_connection_back(contexts, times):
    async def script(connection):
        connection.writer.transport.pause_reading()
        await asyncio.Event().wait()

    senders, view = Senders(1), memoryview(bytes(16 * MIB))
    async with connected(script, contexts, buffer=4096) as (transport, _):
        lent = Sending.of(transport)
        sent = asyncio.Event()
        loop = asyncio.get_running_loop()
        sending = asyncio.create_task(
            senders.send(lent, view, lambda _: loop.call_soon_threadsafe(sent.set))
        )
        await sent.wait()
        for _ in range(times):
            sending.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({sending})
        assert sending.cancelled()
        assert not transport.is_lent
        lent.close()
    senders.close()


async def test_whoever_is_cancelled_before_a_thread_was_free_leaves_no_trace(contexts):
    async def script(connection):
        connection.writer.transport.pause_reading()
        await asyncio.Event().wait()

    senders, view = Senders(1), memoryview(bytes(16 * MIB))
    async with (
        connected(script, contexts, buffer=4096) as (one, _),
        connected(script, contexts, buffer=4096) as (two, _),
    ):
        lent, counted = [Sending.of(one), Sending.of(two)], []
        sending = [
            asyncio.create_task(senders.send(each, view, counted.append)) for each in (*lent,)
        ]
        await asyncio.sleep(0)
        for task in reversed(sending):
            task.cancel()
        await asyncio.wait(sending)
        assert all(task.cancelled() for task in sending)
        assert senders._waiting == 0
        for each in lent:
            each.close()
    senders.close()


def test_the_default_context_verifies_names_and_certificates():
    context = default_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
