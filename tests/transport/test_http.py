"""What one attempt of one request does, seen from the server's side of the socket."""

from __future__ import annotations

import asyncio
import gzip
import pickle
import socket
import ssl
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import aiohttp
import pytest
import trustme

from domo_files_async.auth import DeveloperToken
from domo_files_async.config import Timeouts
from domo_files_async.errors import (
    AuthenticationError,
    ConnectError,
    InvalidArgumentError,
    MaintenanceError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitedError,
    ServerError,
    SessionStateError,
    SourceChangedError,
    StalledError,
    TransportError,
    UnexpectedResponseError,
)
from domo_files_async.protocol.responses import read_no_stream
from domo_files_async.protocol.surface import parse_instance
from domo_files_async.transport import reply as reply_module
from domo_files_async.transport.body import SLICE
from domo_files_async.transport.http import Http
from tests.servers import ScriptedServer, answer
from tests.transport.tools import SECRET, Chunks, download, lent, opened, request

MIB = 1024 * 1024

pytestmark = pytest.mark.usefixtures("way")


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def server_tls(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(params=["plain", "tls"])
def tls(request, server_tls, client_tls):
    return (server_tls, client_tls) if request.param == "tls" else (None, None)


def replies(*answers):
    """Read a request, send the next answer, and so on over all connections."""
    left = iter(answers)

    async def script(connection):
        while True:
            await connection.request()
            await connection.send(next(left))

    return script


async def no_task_is_left():
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return {t for t in others if "_play" not in repr(t.get_coro())} == set()


async def test_a_request_has_our_headers_and_its_own_and_no_others():
    async with ScriptedServer(replies(answer(200, b"[]"))) as server, opened(server) as http:
        mine = request("POST", query="a=%26b%2F", path="/x%20y/%C3%A4", headers={"X-Own": "1"})
        assert await http.send(mine) == b"[]"
        (head,) = server.connections[0].heads
        assert (head.method, head.target) == ("POST", "/x%20y/%C3%A4?a=%26b%2F")
        assert head.headers == {
            "host": f"127.0.0.1:{server.port}",
            "content-length": "0",
            "user-agent": "ours/1",
            "accept-encoding": "identity",
            "x-own": "1",
            "x-domo-developer-token": SECRET,
        }


async def test_a_request_that_reads_says_nothing_about_a_body():
    async with ScriptedServer(replies(answer(200))) as server, opened(server) as http:
        await http.send(request("GET"))
        (head,) = server.connections[0].heads
        assert set(head.headers) == {
            "host",
            "user-agent",
            "accept-encoding",
            "x-domo-developer-token",
        }


async def test_a_connection_is_used_again_for_all_kinds_of_requests():
    bodies = []

    async def script(connection):
        while True:
            _, body = await connection.request()
            bodies.append(body)
            await connection.send(answer(200, b"1"))

    async with ScriptedServer(script) as server, opened(server) as http:
        big = bytearray(b"x" * (3 * SLICE + 5))
        await http.send(request("GET"))
        await http.send(request("PUT", content=b"{}"))
        await http.send(request("POST", prefix=b"<", suffix=b">"), lent(big))
        await http.send(request(), Chunks(b"ab", memoryview(b"cd"), b""))
        await http.send(request(), lent(b""))
        async with http.open_stream(download()) as stream:
            assert [chunk async for chunk in stream.chunks()] == [b"1"]
        await http.send(request("DELETE"))
        assert bodies == [b"", b"{}", b"<" + big + b">", b"abcd", b"", b"", b""]
        assert len(server.connections) == 1


async def test_bytes_arrive_whole_over_either_kind_of_connection(tls):
    data = bytes(range(256)) * 20_000
    got = []

    async def script(connection):
        while True:
            got.append((await connection.request())[1])
            await connection.send(answer(200, b"ok"))

    async with (
        ScriptedServer(script, tls=tls[0]) as server,
        opened(server, ssl=tls[1]) as http,
    ):
        await http.send(request(), lent(data))
        await http.send(request(), Chunks(data[:10], data[10:]))
        assert got == [data, data]
        assert len(server.connections) == 1


async def test_the_observer_and_the_clock_are_told_of_each_reply():
    events, dates = [], []
    date = {"Date": "Mon, 23 Nov 2026 17:01:46 GMT"}
    script = replies(answer(200, b"", date), answer(404, b"", {"Date": "nonsense"}))
    async with (
        ScriptedServer(script) as server,
        opened(server, observer=events.append, on_date=lambda *told: dates.append(told)) as http,
    ):
        began = asyncio.get_running_loop().time()
        await http.send(request(prefix=b"<"), lent(b"12"), attempt=3)
        with pytest.raises(NotFoundError):
            await http.send(request("GET"))
        ended = asyncio.get_running_loop().time()
    assert [(e.attempt, e.status, e.size, e.method) for e in events] == [
        (3, 200, 3, "PUT"),
        (1, 404, 0, "GET"),
    ]
    ((when, sent, received),) = dates
    assert when == datetime(2026, 11, 23, 17, 1, 46, tzinfo=UTC)
    assert began <= sent <= received <= ended


async def test_bandwidth_is_asked_for_before_each_slice():
    asked = []

    async def pace(size):
        asked.append(size)
        return min(size, 900_000)

    async with (
        ScriptedServer(replies(answer(200))) as server,
        opened(server, pace=pace) as http,
    ):
        await http.send(request(prefix=b"<"), lent(bytes(SLICE + 1)))
    assert asked == [1, SLICE, SLICE + 1 - 900_000]


@pytest.mark.parametrize("status", [413, 401])
@pytest.mark.parametrize("ending", ["open", "close"])
async def test_an_early_answer_is_reported_as_that_answer(tls, status, ending):
    async def script(connection):
        await connection.head()
        await connection.send(answer(status, b'{"message": "no"}'))
        if ending == "close":
            connection.close()
        else:
            await asyncio.Event().wait()

    body = Chunks(*[bytes(MIB)] * 64, size=64 * MIB)
    async with (
        ScriptedServer(script, tls=tls[0]) as server,
        opened(server, ssl=tls[1]) as http,
    ):
        with pytest.raises((PayloadTooLargeError, AuthenticationError)) as caught:
            await http.send(request(), body)
        assert (caught.value.status, caught.value.message) == (status, "no")
        assert body.closed == 1
        assert await no_task_is_left()


async def test_success_claimed_before_the_body_was_sent_is_no_success():
    async def script(connection):
        await connection.head()
        await connection.send(answer(200, b"7"))
        await connection.rest()

    body = Chunks(b"a", asyncio.Event(), size=2, repeatable=False)
    async with ScriptedServer(script) as server, opened(server) as http:
        with pytest.raises(TransportError, match="before its body was sent") as caught:
            await http.send(request(), body)
        assert caught.value.request_sent
        assert body.closed == 1


async def test_a_server_that_stops_reading_is_given_up(tls):
    async def script(connection):
        await connection.head()
        connection.writer.transport.pause_reading()
        await asyncio.Event().wait()

    body = Chunks(*[bytes(MIB)] * 64, size=64 * MIB)
    async with (
        ScriptedServer(script, tls=tls[0], buffer=4096) as server,
        opened(server, stall=0.2, ssl=tls[1]) as http,
    ):
        with pytest.raises(
            StalledError, match=r"no byte moved for .* s \(Timeouts.stall\)"
        ) as caught:
            await http.send(request(), body)
        assert not caught.value.request_sent
        assert await no_task_is_left()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", answer(200, b"half", length=8)])
async def test_an_answer_that_stops_coming_is_given_up(sent):
    async def script(connection):
        await connection.request()
        await connection.send(sent)
        await connection.rest()

    async with ScriptedServer(script) as server, opened(server, stall=0.1) as http:
        with pytest.raises(StalledError) as caught:
            await http.send(request(), lent(b"data"))
        assert caught.value.request_sent
        await server.finished()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_request_without_a_body_is_watched_too(method):
    async with ScriptedServer(lambda c: c.rest()) as server, opened(server, stall=0.1) as http:
        with pytest.raises(StalledError) as caught:
            await http.send(request(method))
        assert caught.value.request_sent


async def later(seconds):
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, event.set)
    await event.wait()


async def test_a_slow_source_is_no_stall():
    release = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, release.set)
    script = replies(answer(200, b"1"))
    async with ScriptedServer(script) as server, opened(server, stall=0.05) as http:
        assert await http.send(request(), Chunks(b"a" * 99_999, release, b"b")) == b"1"


async def test_a_bandwidth_cap_is_no_stall():
    async def pace(size):
        await later(0.2)
        return size

    async with (
        ScriptedServer(replies(answer(200, b"1"))) as server,
        opened(server, stall=0.05, pace=pace) as http,
    ):
        assert await http.send(request(), lent(b"a")) == b"1"


@pytest.mark.skipif(sys.platform != "linux", reason="the system's buffer can't be seen")
async def test_a_network_that_is_slow_is_no_stall(tls):
    size = 4 * MIB

    async def script(connection):
        await connection.head()
        for _ in range(64):
            await connection.body(size // 64)
            await later(0.02)
        await connection.send(answer(200, b"1"))

    async with (
        ScriptedServer(script, tls=tls[0], buffer=65536) as server,
        opened(server, stall=0.6, ssl=tls[1]) as http,
    ):
        assert await http.send(request(), lent(bytes(size))) == b"1"


async def test_a_source_that_is_cancelled_with_its_request_hides_no_error():
    async def script(connection):
        await connection.head()
        await connection.body(1)
        connection.close()

    async def dawdle(*_):
        for _ in range(5):
            await asyncio.sleep(0)

    slow = aiohttp.TraceConfig()
    slow.on_request_exception.append(dawdle)
    async with (
        ScriptedServer(script) as server,
        aiohttp.ClientSession(trace_configs=[slow]) as client,
        opened(server, client=client) as http,
    ):
        with pytest.raises(TransportError) as caught:
            await http.send(request(), Chunks(b"a", asyncio.Event(), size=2, repeatable=False))
        assert not caught.value.request_sent


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "connection"),
        (b"HTTP/1.1 200", "connection"),
        (b"WHAT IS THIS\r\n\r\n", "isn't HTTP"),
        (answer(200, b"half", length=8), "broke off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nha", "broke off"),
    ],
)
@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_broken_answer_is_a_transport_error_and_never_asked_for_twice(
    method, sent, said, ending
):
    async def script(connection):
        await connection.request()
        await connection.send(sent)
        getattr(connection, ending)()

    async with ScriptedServer(script) as server, opened(server) as http:
        with pytest.raises(TransportError, match=said if ending == "close" else None) as caught:
            await http.send(request(method))
        assert type(caught.value) is TransportError
        assert caught.value.request_sent
        assert sum(len(c.heads) for c in server.connections) == 1


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_connection_lost_in_the_body_is_known_not_to_have_been_enough(tls, ending):
    async def script(connection):
        await connection.head()
        await connection.body(SLICE)
        getattr(connection, ending)()

    async with (
        ScriptedServer(script, tls=tls[0]) as server,
        opened(server, ssl=tls[1]) as http,
    ):
        with pytest.raises(TransportError) as caught:
            await http.send(request(), lent(bytes(64 * MIB)))
        assert not caught.value.request_sent
        assert sum(len(c.heads) for c in server.connections) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET"])
async def test_a_kept_connection_that_is_gone_costs_one_error_and_nothing_is_sent_twice(method):
    async def script(connection):
        await connection.request()
        await connection.send(answer(200, b"1"))
        await connection.request()
        connection.reset()

    async with ScriptedServer(script) as server, opened(server) as http:
        await http.send(request(method), lent(b"first") if method == "PUT" else None)
        with pytest.raises(TransportError) as caught:
            await http.send(request(method), lent(b"second") if method == "PUT" else None)
        assert caught.value.request_sent
        assert [len(c.heads) for c in server.connections] == [2]


async def test_a_kept_connection_that_was_closed_in_time_is_not_used():
    async def script(connection):
        await connection.request()
        await connection.send(answer(200, b"1"))
        connection.close()

    async with ScriptedServer(script) as server, opened(server) as http:
        for _ in range(3):
            await http.send(request(), lent(b"x"))
            await server.finished()
            for _ in range(5):
                await asyncio.sleep(0)


async def test_nobody_listening_is_a_connect_error():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))

        class Nobody:
            origin = f"http://127.0.0.1:{closed.getsockname()[1]}"

        body = Chunks(b"x")
        async with opened(Nobody) as http:
            with pytest.raises(ConnectError, match=r"made: 127.0.0.1: .*; check the") as caught:
                await http.send(request(), body)
    assert not caught.value.request_sent
    assert body.begun == 0


async def test_a_certificate_that_is_not_trusted_is_a_connect_error(server_tls):
    async with ScriptedServer(replies(), tls=server_tls) as server, opened(server) as http:
        with pytest.raises(ConnectError, match="isn't trusted"):
            await http.send(request("GET"))
        assert not any(c.heads for c in server.connections)


async def test_another_certificate_than_the_pinned_one_is_a_connect_error(server_tls):
    connector = aiohttp.TCPConnector(ssl=aiohttp.Fingerprint(b"0" * 32))
    async with (
        ScriptedServer(replies(), tls=server_tls) as server,
        aiohttp.ClientSession(connector=connector) as client,
        opened(server, client=client) as http,
    ):
        with pytest.raises(ConnectError, match="isn't the one expected"):
            await http.send(request("GET"))


async def test_a_server_without_tls_is_a_connect_error(client_tls):
    async def script(connection):
        await connection.reader.read(1)
        await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    async with ScriptedServer(script) as server:
        server.origin = server.origin.replace("http:", "https:")
        async with opened(server, ssl=client_tls) as http:
            with pytest.raises(ConnectError):
                await http.send(request("GET"))


async def test_a_handshake_that_takes_too_long_is_a_connect_error(client_tls):
    async with ScriptedServer(lambda c: c.rest()) as server:
        server.origin = server.origin.replace("http:", "https:")
        async with opened(server, ssl=client_tls, connect=0.1) as http:
            with pytest.raises(ConnectError, match=r"too long \(Timeouts.connect\)"):
                await http.send(request("GET"))


async def test_a_proxy_that_refuses_is_a_connect_error_without_its_password(client_tls):
    async def proxy(connection):
        await connection.head()
        await connection.send(answer(407))
        await connection.rest()

    async with ScriptedServer(proxy) as server:
        way = server.origin.replace("http://", "http://me:passw0rd@")
        server.origin = "https://acme.domo.com"
        async with opened(server, ssl=client_tls, proxy=way) as http:
            with pytest.raises(ConnectError, match="proxy answered with 407") as caught:
                await http.send(request("GET"))
    assert "passw0rd" not in shown(caught.value)
    assert SECRET not in server.connections[0].received.decode()


async def test_a_proxy_that_is_not_there_is_a_connect_error():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        way = f"http://127.0.0.1:{closed.getsockname()[1]}"

        class Somewhere:
            origin = "http://127.0.0.1:9"

        async with opened(Somewhere, proxy=way) as http:
            with pytest.raises(ConnectError, match="proxy can't be reached"):
                await http.send(request("GET"))


async def test_errors_of_the_source_come_out_as_they_are():
    async with ScriptedServer(lambda c: c.rest()) as server, opened(server) as http:
        for mistake in (SourceChangedError("it changed"), ZeroDivisionError("theirs")):
            for size in (2, None):
                body = Chunks(b"a", mistake, size=size)
                with pytest.raises(type(mistake)) as caught:
                    await http.send(request(), body)
                assert caught.value is mistake
                assert body.closed == 1
        await server.finished()
        assert not any(c.received.endswith(b"0\r\n\r\n") for c in server.connections)
        assert await no_task_is_left()


async def test_a_source_that_cancels_itself_is_told_apart_from_our_cancelling():
    async with ScriptedServer(lambda c: c.rest()) as server, opened(server) as http:
        with pytest.raises(asyncio.CancelledError):
            await http.send(request(), Chunks(b"a", asyncio.CancelledError()))
        assert asyncio.current_task().cancelling() == 0


@pytest.mark.parametrize(("given", "found"), [((b"123456",), "more"), ((b"1", b"23"), "fewer")])
async def test_a_source_of_another_size_than_it_said_is_a_source_error(given, found):
    async with ScriptedServer(lambda c: c.rest()) as server, opened(server) as http:
        with pytest.raises(SourceChangedError, match=found):
            await http.send(request(suffix=b">"), Chunks(*given, size=5))
        await server.finished()
        assert not server.connections[0].received.endswith(b">")


async def test_a_plain_iterator_without_an_end_of_its_own_is_a_body_too():
    class Plain:
        size = 2
        repeatable = True

        def chunks(self):
            left = [b"a", b"b"]

            class Iterator:
                def __aiter__(self):
                    return self

                async def __anext__(self):
                    if not left:
                        raise StopAsyncIteration
                    return left.pop(0)

            return Iterator()

    async with ScriptedServer(replies(answer(200, b"1"))) as server, opened(server) as http:
        assert await http.send(request(), Plain()) == b"1"


@pytest.mark.parametrize("stuck", ["source", "network", "answer"])
async def test_a_cancel_is_prompt_and_leaves_nothing(tls, stuck):
    there = asyncio.Event()

    async def script(connection):
        if stuck == "answer":
            await connection.request()
        else:
            await connection.head()
        if stuck == "network":
            connection.writer.transport.pause_reading()
            there.set()
            await asyncio.Event().wait()
        there.set()
        await connection.rest()

    body = {
        "source": Chunks(b"a", asyncio.Event()),
        "network": lent(bytes(64 * MIB)),
        "answer": lent(b"abc"),
    }[stuck]
    async with (
        ScriptedServer(script, tls=tls[0], buffer=4096) as server,
        opened(server, ssl=tls[1]) as http,
    ):
        sending = asyncio.create_task(http.send(request(), body))
        await there.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert await no_task_is_left()
        if stuck != "network":
            await server.finished()


@pytest.mark.parametrize("how", ["cancel", "stall", "early answer", "reset"])
async def test_memory_is_free_as_soon_as_a_failed_send_is_over(tls, how):
    old, new = b"\x11", b"\x22"
    buffer = bytearray(old * (8 * MIB))
    half_way, over = asyncio.Event(), asyncio.Event()

    async def script(connection):
        await connection.head()
        await connection.body(1000)
        connection.writer.transport.pause_reading()
        half_way.set()
        if how == "early answer":
            await connection.send(answer(413, b"{}"))
        await over.wait()
        if how == "reset":
            return
        connection.writer.transport.resume_reading()
        await connection.rest()

    async with (
        ScriptedServer(script, tls=tls[0], buffer=4096) as server,
        opened(server, ssl=tls[1], stall=0.3) as http,
    ):
        sending = asyncio.create_task(http.send(request(), lent(buffer)))
        await half_way.wait()
        if how == "cancel":
            sending.cancel()
        elif how == "reset":
            server.connections[0].reset()
        with pytest.raises((TransportError, PayloadTooLargeError, asyncio.CancelledError)):
            await sending
        buffer[:] = new * len(buffer)
        over.set()
        await server.finished()
        received = server.connections[0].received
        assert old in received
        assert new not in received.partition(b"\r\n\r\n")[2]


async def test_a_chunk_is_no_longer_in_use_when_the_next_is_asked_for(tls):
    size, count = 20_000, 200
    buffer = bytearray(size)

    class Reused:
        repeatable = True
        size = 20_000 * 200

        async def chunks(self):
            for number in range(count):
                buffer[:] = bytes([number]) * size
                yield memoryview(buffer)
            buffer[:] = b"\xff" * size

    async def script(connection):
        await connection.head()
        connection.writer.transport.pause_reading()
        await asyncio.sleep(0)
        connection.writer.transport.resume_reading()
        got.append(await connection.body(size * count))
        await connection.send(answer(200))

    got = []
    async with (
        ScriptedServer(script, tls=tls[0], buffer=4096) as server,
        opened(server, ssl=tls[1]) as http,
    ):
        await http.send(request(), Reused())
    assert got[0] == b"".join(bytes([number]) * size for number in range(count))


def shown(error):
    """All that anybody may see of an error, its chain included."""
    words = []
    while error is not None:
        words += [str(error), repr(error), repr(error.__dict__), repr(error.args)]
        words.append(repr(pickle.dumps(error)))
        error = error.__cause__ or error.__context__
    return "\n".join(words)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 500])
async def test_a_credential_that_the_server_echoes_never_shows(status):
    escaped = [SECRET, quote(SECRET, safe=""), quote(SECRET, safe="").lower(), SECRET.upper()]
    body = ("{" + " ".join(escaped)).encode()
    text = answer(
        status, body, {"Location": f"/x/{SECRET}", "X-Echo": SECRET, "Retry-After": SECRET}
    )
    text = text.replace(b"Scripted", SECRET.encode())
    events, replied = [], []

    def reader(reply):
        replied.append(reply)
        raise UnexpectedResponseError(
            repr(reply), status=reply.status, method=reply.method, path=reply.path
        )

    async with (
        ScriptedServer(replies(text)) as server,
        opened(server, observer=events.append) as http,
    ):
        with pytest.raises(UnexpectedResponseError) as caught:
            await http.send(request(reader=reader))
    for form in escaped:
        assert form not in shown(caught.value)
        assert form not in repr(events)
    assert "***" in str(caught.value)
    assert SECRET not in repr(http)


@pytest.mark.parametrize("sent", [b"", b"garbage\r\n\r\n"])
async def test_no_error_of_aiohttp_comes_along_with_ours(sent):
    async def script(connection):
        await connection.request()
        await connection.send(sent)
        connection.close()

    async with ScriptedServer(script) as server, opened(server) as http:
        with pytest.raises(TransportError) as caught:
            await http.send(request())
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert SECRET not in shown(caught.value)


async def test_a_credential_that_no_header_can_carry_is_refused_unshown():
    class Broken:
        async def headers(self):
            return {"X-Token": "abc\r\nX-Evil: 1"}

    async with ScriptedServer(replies()) as server, opened(server, auth=Broken()) as http:
        with pytest.raises(InvalidArgumentError) as caught:
            await http.send(request())
        assert "Evil" not in str(caught.value)
        assert server.connections == []


@pytest.mark.parametrize(
    "given",
    [
        None,
        [("X-Token", "hushed")],
        {"X-Token": 7},
        {"X-Token": None},
        {7: "hushed"},
        {"X Token": "hushed"},
        {"X-Token:": "hushed"},
        {"": "hushed"},
    ],
    ids=str,
)
async def test_an_auth_that_gives_no_headers_is_told_so_and_nothing_is_sent(given):
    class Odd:
        async def headers(self):
            return given

    async with ScriptedServer(replies()) as server, opened(server, auth=Odd()) as http:
        with pytest.raises(InvalidArgumentError, match="auth") as caught:
            await http.send(request())
        assert "hushed" not in str(caught.value)
        assert server.connections == []


async def test_a_date_to_wait_for_counts_also_where_the_reply_has_none_of_its_own():
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    script = replies(answer(429, b"", {"Retry-After": until}))
    async with ScriptedServer(script) as server, opened(server) as http:
        with pytest.raises(RateLimitedError) as caught:
            await http.send(request())
    assert 0 < caught.value.retry_after <= 100


async def test_an_answer_in_gzip_is_given_as_it_came():
    data = gzip.compress(b"hello")
    label = {"Content-Encoding": "gzip"}
    script = replies(answer(200, data, label), answer(200, data, label))
    async with ScriptedServer(script) as server, opened(server) as http:
        assert await http.send(request("GET")) == data
        async with http.open_stream(download()) as stream:
            assert b"".join([chunk async for chunk in stream.chunks()]) == data


async def test_of_an_endless_error_only_the_beginning_is_read():
    async def script(connection):
        await connection.request()
        connection.writer.write(answer(500, b"", length=10**12))
        while True:
            await connection.send(bytes(65536))

    seen = []

    def reader(reply):
        seen.append(len(reply.body))
        raise ServerError(status=reply.status, method="GET", path="/")

    async with ScriptedServer(script) as server, opened(server) as http:
        with pytest.raises(ServerError):
            await http.send(request("GET", reader=reader))
        with pytest.raises(ServerError):
            async with http.open_stream(download()):
                pass
        await server.finished()
    assert seen == [65536]


async def test_an_answer_longer_than_any_of_the_api_is_unexpected(monkeypatch):
    monkeypatch.setattr(reply_module, "_ANSWER_LIMIT", 1000)
    async with ScriptedServer(replies(answer(200, bytes(1001)))) as server, opened(server) as http:
        with pytest.raises(UnexpectedResponseError, match="longer"):
            await http.send(request("GET"))


async def test_a_repeated_header_counts_the_first_time():
    text = b"HTTP/1.1 200 OK\r\nX-Two: 1\r\nx-two: 2\r\nContent-Length: 0\r\n\r\n"
    async with ScriptedServer(replies(text)) as server, opened(server) as http:
        reply = await http.send(request(reader=lambda reply: reply))
    assert reply.headers == {"x-two": "1", "content-length": "0"}


async def test_an_interim_answer_is_waited_over():
    text = b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(200, b"1")
    async with ScriptedServer(replies(text)) as server, opened(server) as http:
        assert await http.send(request()) == b"1"


@pytest.mark.parametrize("length", [None, 10])
async def test_a_stream_gives_its_head_and_then_its_body(length):
    async def script(connection):
        await connection.request()
        if length is None:
            await connection.send(b"HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await connection.send(b"5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n")
        else:
            await connection.send(answer(206, b"0123456789", {"X-Echo": SECRET}))

    async with ScriptedServer(script) as server, opened(server) as http:
        async with http.open_stream(download(headers={"Range": "bytes=0-9"})) as stream:
            assert SECRET not in stream.headers.values()
            assert (stream.status, stream.content_length) == (206, length)
            assert b"".join([chunk async for chunk in stream.chunks()]) == b"0123456789"
        assert server.connections[0].heads[0].headers["range"] == "bytes=0-9"


async def test_a_stream_cut_short_is_a_transport_error(tls):
    async def script(connection):
        await connection.request()
        await connection.send(answer(200, b"0123", length=10))
        connection.close()

    async with (
        ScriptedServer(script, tls=tls[0]) as server,
        opened(server, ssl=tls[1]) as http,
        http.open_stream(download()) as stream,
    ):
        with pytest.raises(TransportError, match="broke off"):
            assert [chunk async for chunk in stream.chunks()] == []


async def test_a_stream_that_stands_still_is_given_up():
    async def script(connection):
        await connection.request()
        await connection.send(answer(200, b"0123", length=10))
        await connection.rest()

    async with (
        ScriptedServer(script) as server,
        opened(server, stall=0.1) as http,
        http.open_stream(download()) as stream,
    ):
        chunks = stream.chunks()
        assert await anext(chunks) == b"0123"
        with pytest.raises(StalledError):
            await anext(chunks)


@pytest.mark.parametrize("how", ["leave", "raise", "cancel"])
async def test_leaving_a_stream_early_closes_its_connection(tls, how):
    async def script(connection):
        await connection.request()
        connection.writer.write(answer(200, b"", length=10**12))
        while True:
            await connection.send(bytes(65536))

    async with (
        ScriptedServer(script, tls=tls[0]) as server,
        opened(server, ssl=tls[1]) as http,
    ):
        reading = asyncio.Event()

        async def read():
            async with http.open_stream(download()) as stream:
                async for _ in stream.chunks():
                    reading.set()
                    if how == "leave":
                        return
                    if how == "raise":
                        raise ZeroDivisionError

        task = asyncio.create_task(read())
        await reading.wait()
        if how == "cancel":
            task.cancel()
        await asyncio.wait({task})
        await server.finished()
        assert await no_task_is_left()


async def test_a_stream_left_unread_but_complete_harms_nobody_elses_request():
    async def script(connection):
        while True:
            await connection.request()
            await connection.send(answer(200, b"1"))

    async with ScriptedServer(script) as server, opened(server) as http:
        async with http.open_stream(download()):
            for _ in range(5):
                await asyncio.sleep(0)
            assert await http.send(request("GET")) == b"1"
        assert await http.send(request("GET")) == b"1"
        assert len(server.connections) <= 2


@pytest.mark.parametrize("status", [200, 503])
async def test_the_maintenance_page_is_no_file(status):
    page = b"<html><title>Domo Maintenance</title></html>" + bytes(100_000)
    label = {"Content-Type": "Text/HTML; charset=utf-8"}
    async with (
        ScriptedServer(replies(answer(status, page, label))) as server,
        opened(server) as http,
    ):
        with pytest.raises(MaintenanceError):
            async with http.open_stream(download()):
                pass


async def test_another_page_is_given_whole():
    page = b"<html>" + b"x" * 300_000
    async with (
        ScriptedServer(replies(answer(200, page, {"Content-Type": "text/html"}))) as server,
        opened(server) as http,
        http.open_stream(download()) as stream,
    ):
        assert b"".join([chunk async for chunk in stream.chunks()]) == page


async def test_a_status_that_is_no_content_is_no_stream():
    script = replies(answer(304), answer(404), answer(202))
    async with ScriptedServer(script) as server, opened(server) as http:
        for kind in (UnexpectedResponseError, NotFoundError, UnexpectedResponseError):
            with pytest.raises(kind):
                async with http.open_stream(download(reader=read_no_stream)):
                    pass


async def test_the_callers_aiohttp_session_is_used_and_breaks_nothing():
    data = gzip.compress(b"hello")
    script = replies(
        answer(200, data, {"Content-Encoding": "gzip", "Set-Cookie": "theirs=1"}),
        answer(404, b"{}"),
        answer(200, b"1"),
    )
    spoiled = []

    async def spoil(ours, handler):
        spoiled.append(ours)
        return await handler(ours)

    async with (
        ScriptedServer(script) as server,
        aiohttp.ClientSession(
            base_url="http://elsewhere.example/api/",
            headers={
                "Authorization": "Bearer theirs",
                "Content-Type": "text/plain",
                "Accept-Encoding": "gzip, br",
                "X-Theirs": "1",
                "Range": "bytes=0-0",
                "Expect": "100-continue",
            },
            cookies={"theirs": "1"},
            raise_for_status=True,
            auto_decompress=True,
            timeout=aiohttp.ClientTimeout(total=1e-9),
            middlewares=(spoil,),
            connector=aiohttp.TCPConnector(limit=1),
        ) as client,
    ):
        async with opened(server, client=client) as http:
            assert await http.send(request("GET")) == data
            with pytest.raises(NotFoundError):
                await http.send(request("GET"))
            assert await http.send(request(), lent(b"x")) == b"1"
        assert not client.closed
        assert spoiled == []
        names = {name for head in server.connections[0].heads for name in head.headers}
        assert names == {
            "host",
            "user-agent",
            "accept-encoding",
            "x-domo-developer-token",
            "content-length",
        }


async def test_a_session_that_closes_while_it_connects_makes_a_connect_error():
    async with ScriptedServer(replies()) as server, aiohttp.ClientSession() as client:

        class Closing(DeveloperToken):
            async def headers(self):
                asyncio.get_running_loop().call_soon(lambda: closing.append(client.close()))
                return await super().headers()

        closing = []
        async with opened(server, client=client, auth=Closing(SECRET)) as http:
            sending = asyncio.create_task(http.send(request("GET")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await closing[0]
            with pytest.raises(TransportError):
                await sending


async def test_an_aiohttp_session_that_is_closed_is_told_at_once():
    async with ScriptedServer(replies(answer(200, b"1"))) as server:
        async with aiohttp.ClientSession() as client, opened(server, client=client) as http:
            assert await http.send(request("GET")) == b"1"
            await client.close()
            with pytest.raises(SessionStateError):
                await http.send(request("GET"))
        with pytest.raises(SessionStateError):
            async with opened(server, client=client):
                pass


async def test_an_aiohttp_session_of_another_loop_is_refused():
    def elsewhere():
        async def make():
            return aiohttp.ClientSession()

        return loop.run_until_complete(make())

    loop = asyncio.new_event_loop()
    client = await asyncio.to_thread(elsewhere)
    try:

        class Anywhere:
            origin = "http://127.0.0.1:9"

        with pytest.raises(SessionStateError, match="another event loop"):
            async with opened(Anywhere, client=client):
                pass
    finally:
        await asyncio.to_thread(lambda: loop.run_until_complete(client.close()))
        loop.close()


async def test_nothing_is_sent_before_it_is_opened_and_closing_is_harmless():
    http = Http(
        parse_instance("acme"), auth=DeveloperToken("x"), timeouts=Timeouts(), user_agent="ours"
    )
    with pytest.raises(SessionStateError):
        await http.send(request("GET"))
    await http.close()
