"""Attempts, waits and new credentials; time costs nothing here."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from domo_files_async.config import RetryPolicy
from domo_files_async.errors import (
    AuthenticationError,
    ConnectError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    TransportError,
)
from domo_files_async.events import RequestRetried, Throttled
from domo_files_async.transport.attempts import Attempts
from domo_files_async.transport.limits import Limits
from tests.servers import ScriptedServer, answer
from tests.transport.tools import SECRET, Chunks, download, in_no_time, opened, request


def refusal(kind, status, **more):
    return kind(status=status, method="PUT", path="/x", **more)


class FakeHttp:
    """Ends attempts as it is told to, and notes when each began."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.sent = []

    async def send(self, *_, attempt):
        self.sent.append((attempt, asyncio.get_running_loop().time()))
        outcome = self.outcomes.pop(0)
        await asyncio.sleep(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @asynccontextmanager
    async def open_stream(self, *_, attempt):
        yield await self.send(attempt=attempt)


class FakeAuth:
    """Gives what it is told to when it is asked for a new credential."""

    def __init__(self, answers=()):
        self.answers = list(answers)
        self.asked = 0

    async def headers(self):
        return {"X-Token": f"{SECRET}-{self.asked}"}

    async def refresh(self):
        await asyncio.sleep(1)
        self.asked += 1
        reply = self.answers.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def attempts(http, *, auth=None, limits=None, observer=None, **policy):
    policy = {"initial_backoff": 1, "jitter": 0, **policy}
    return Attempts(
        http,
        auth=auth or FakeAuth(),
        policy=RetryPolicy(**policy),
        limits=limits or Limits(1),
        observer=observer,
        chance=lambda: 0.5,
    )


@in_no_time
async def test_a_failed_attempt_is_followed_by_another_after_its_backoff():
    http, events = FakeHttp(TransportError("a"), TransportError("b"), 7), []
    assert await attempts(http, observer=events.append).send(request()) == 7
    assert http.sent == [(1, 0), (2, 1), (3, 3)]
    assert [(e.attempt, e.delay, str(e.error)) for e in events] == [(1, 1, "a"), (2, 2, "b")]


@in_no_time
async def test_whoever_asks_is_told_of_retries_instead_of_the_observer():
    http, events, told = FakeHttp(TransportError("a"), 7), [], []
    mine = attempts(http, observer=events.append)
    await mine.send(request(), on_retry=lambda *what: told.append(what))
    assert [(attempt, delay, str(error)) for attempt, delay, error in told] == [(1, 1, "a")]
    assert not [e for e in events if isinstance(e, RequestRetried)]


@in_no_time
async def test_the_last_error_comes_out():
    http = FakeHttp(*[TransportError(str(number)) for number in range(3)])
    with pytest.raises(TransportError, match="2"):
        await attempts(http, max_attempts=3).send(request())
    http = FakeHttp(refusal(NotFoundError, 404))
    with pytest.raises(NotFoundError):
        await attempts(http).send(request())


@in_no_time
async def test_what_must_not_happen_twice_is_not_sent_twice():
    http = FakeHttp(TransportError("lost"))
    with pytest.raises(TransportError):
        await attempts(http).send(request(repeatable=False))
    http = FakeHttp(ConnectError("never made"), refusal(RateLimitedError, 429), 7)
    assert await attempts(http).send(request(repeatable=False)) == 7


@in_no_time
async def test_a_body_that_comes_once_is_sent_once():
    once = Chunks(repeatable=False)
    for error in (TransportError("lost"), refusal(RateLimitedError, 429)):
        with pytest.raises(type(error)):
            await attempts(FakeHttp(error)).send(request(), once)
    assert await attempts(FakeHttp(ConnectError("never made"), 7)).send(request(), once) == 7
    http = FakeHttp(refusal(AuthenticationError, 401))
    with pytest.raises(AuthenticationError):
        await attempts(http, auth=FakeAuth([True])).send(request(), once)


@in_no_time
async def test_retries_are_capped_over_time():
    http = FakeHttp(*[TransportError("lost")] * 5)
    mine = attempts(http, budget=2)
    for left in (3, 4):
        with pytest.raises(TransportError):
            await mine.send(request())
        assert len(http.sent) == left


@in_no_time
async def test_the_whole_session_is_silent_for_as_long_as_the_server_asks():
    limits, events = Limits(1), []
    http = FakeHttp(refusal(RateLimitedError, 429, retry_after=30), 1, 2)
    mine = attempts(http, limits=limits, observer=events.append)
    first = asyncio.create_task(mine.send(request()))
    await asyncio.sleep(10)
    assert sorted(await asyncio.gather(first, mine.send(request("GET")))) == [1, 2]
    assert [when for _, when in http.sent] == [0, 30, 30]
    assert [e.delay for e in events if isinstance(e, Throttled)] == [30]


@in_no_time
async def test_silence_is_kept_by_others_when_the_asker_is_out_of_attempts():
    http = FakeHttp(refusal(ServerError, 503, retry_after=30), 1)
    mine = attempts(http, max_attempts=1)
    with pytest.raises(ServerError):
        await mine.send(request())
    await mine.send(request())
    assert [when for _, when in http.sent] == [0, 30]


@in_no_time
async def test_a_silence_longer_than_we_wait_ends_the_attempt_at_once():
    http = FakeHttp(refusal(RateLimitedError, 429, retry_after=301), 1)
    mine = attempts(http)
    with pytest.raises(RateLimitedError):
        await mine.send(request())
    await mine.send(request())
    assert [when for _, when in http.sent] == [0, 0]


@in_no_time
async def test_after_a_401_the_request_goes_again_with_a_new_credential_uncounted():
    http = FakeHttp(refusal(AuthenticationError, 401), TransportError("lost"), 7)
    auth, told = FakeAuth([True]), []
    mine = attempts(http, auth=auth, max_attempts=2)
    assert await mine.send(request(), on_retry=lambda *what: told.append(what)) == 7
    assert ([attempt for attempt, _ in http.sent], auth.asked, len(told)) == ([1, 1, 2], 1, 1)


@in_no_time
async def test_a_new_credential_that_is_refused_too_is_the_end():
    http = FakeHttp(*[refusal(AuthenticationError, 401)] * 2)
    auth = FakeAuth([True, True])
    with pytest.raises(AuthenticationError):
        await attempts(http, auth=auth).send(request(repeatable=False))
    assert (auth.asked, len(http.sent)) == (1, 2)


@in_no_time
async def test_a_login_page_asks_for_no_new_credential():
    auth = FakeAuth([True])
    with pytest.raises(AuthenticationError):
        await attempts(FakeHttp(refusal(AuthenticationError, 302)), auth=auth).send(request())
    assert auth.asked == 0


@pytest.mark.parametrize("is_new", [True, False])
@in_no_time
async def test_one_caller_asks_for_a_new_credential_for_all(is_new):
    auth = FakeAuth([is_new, False])
    refused = [refusal(AuthenticationError, 401) for _ in range(5)]
    mine = attempts(FakeHttp(*refused, *range(5)), auth=auth)
    results = await asyncio.gather(
        *(mine.send(request()) for _ in range(5)), return_exceptions=True
    )
    assert auth.asked == 1
    assert results == (list(range(5)) if is_new else refused)
    # Later it is asked again: there may be a new one by then.
    mine._http.outcomes[:] = [refusal(AuthenticationError, 401)]
    with pytest.raises(AuthenticationError):
        await mine.send(request())
    assert auth.asked == 2


@in_no_time
async def test_whoever_asks_for_a_new_credential_may_be_cancelled():
    auth = FakeAuth([True])
    refused = [refusal(AuthenticationError, 401) for _ in range(2)]
    mine = attempts(FakeHttp(*refused, 7), auth=auth)
    first = asyncio.create_task(mine.send(request()))
    second = asyncio.create_task(mine.send(request()))
    await asyncio.sleep(0.5)
    first.cancel()
    assert await second == 7
    assert auth.asked == 1


@in_no_time
async def test_an_error_of_the_credentials_own_comes_out_as_it_is_for_the_asker():
    refused = [refusal(AuthenticationError, 401) for _ in range(2)]
    auth = FakeAuth([ZeroDivisionError()])
    mine = attempts(FakeHttp(*refused), auth=auth)
    results = await asyncio.gather(
        *(mine.send(request()) for _ in range(2)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ZeroDivisionError, AuthenticationError]
    assert auth.asked == 1


@in_no_time
async def test_a_stream_is_opened_as_often_as_it_takes():
    http = FakeHttp(TransportError("lost"), "stream")
    async with attempts(http).open_stream(download()) as stream:
        assert stream == "stream"
    assert http.outcomes == []


async def test_over_a_real_connection_the_new_credential_is_sent():
    async def script(connection):
        while True:
            head, _ = await connection.request()
            is_old = head.headers["x-token"] == f"{SECRET}-0"
            await connection.send(answer(401, b"{}") if is_old else answer(200, b"1"))

    class Auth(FakeAuth):
        async def refresh(self):
            self.asked += 1
            return True

    auth = Auth()
    async with ScriptedServer(script) as server, opened(server, auth=auth) as http:
        assert await attempts(http, auth=auth).send(request(), Chunks(b"body")) == b"1"
        tokens = [head.headers["x-token"] for head in server.connections[0].heads]
    assert tokens == [f"{SECRET}-0", f"{SECRET}-1"]


@in_no_time
async def test_a_stream_that_broke_off_is_judged_like_any_other_failure():
    mine = attempts(FakeHttp(), max_attempts=3, budget=10)
    delays = [mine.judge(TransportError("lost"), attempt=number) for number in (1, 2, 3)]
    assert delays == [1, 2, None]
    assert mine.judge(refusal(NotFoundError, 404), attempt=1) is None


@in_no_time
async def test_waiting_as_the_server_asked_spends_no_retry():
    told = [refusal(RateLimitedError, 429, retry_after=1) for _ in range(3)]
    http = FakeHttp(*told, refusal(ServerError, 503), "done")
    assert await attempts(http, budget=1).send(request()) == "done"


async def test_what_moves_no_bytes_is_sent_by_a_few_at_a_time_but_for_what_is_urgent():
    class Waiting:
        going = 0

        async def send(self, *_, attempt):
            self.going += 1
            await gate.wait()
            self.going -= 1
            return attempt

    async def settle():
        for _ in range(5):
            await asyncio.sleep(0)
        return http.going

    gate, http, limits = asyncio.Event(), Waiting(), Limits(16)
    sending = attempts(http, limits=limits)
    tasks = [asyncio.create_task(sending.send(request())) for _ in range(40)]
    assert await settle() == 8
    urgent = [asyncio.create_task(sending.send(request(), urgent=True)) for _ in range(3)]
    assert await settle() == 11
    tasks[20].cancel()
    gate.set()
    results = await asyncio.gather(*tasks, *urgent, return_exceptions=True)
    assert results.count(1) == 42
    assert http.going == 0
    assert [await sending.send(request()) for _ in range(9)] == [1] * 9


async def test_what_is_urgent_is_sent_in_order_by_no_more_than_the_machine_can_bear():
    began = []

    class Waiting:
        async def send(self, number, *_, attempt):
            began.append(number)
            await gate.wait()
            return attempt

    gate, sending = asyncio.Event(), attempts(Waiting())
    urgent = [asyncio.create_task(sending.send(n, urgent=True)) for n in range(100)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert began == [*range(32)]
    urgent[40].cancel()
    gate.set()
    results = await asyncio.gather(*urgent, return_exceptions=True)
    assert results.count(1) == 99
    assert began == [n for n in range(100) if n != 40]
