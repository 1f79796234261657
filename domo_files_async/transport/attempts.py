"""One request until it is answered: attempts, waits between them, and a new credential after a 401.

Rule 1: `planning.retry` decides, this carries it out.
Rule 2: what the server asks to wait is kept by the whole session.
Rule 3: after a 401 one caller asks for a new credential, and all others wait for its answer.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from domo_files_async.errors import (
    ApiError,
    AuthenticationError,
    ConnectError,
    DomoFilesError,
    MaintenanceError,
)
from domo_files_async.events import RequestRetried, Throttled, notify
from domo_files_async.planning.retry import GiveUp, Retry, RetryBudget, decide_retry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from domo_files_async.auth import Auth
    from domo_files_async.config import RetryPolicy
    from domo_files_async.events import Observer
    from domo_files_async.protocol.messages import Request
    from domo_files_async.transport.body import Body
    from domo_files_async.transport.http import Http
    from domo_files_async.transport.limits import Limits
    from domo_files_async.transport.reply import ReplyStream

__all__ = ("Attempts", "OnRetry")

T = TypeVar("T")

OnRetry: TypeAlias = "Callable[[int, float, DomoFilesError], None]"
"""Told the attempt that failed, from 1, the seconds until the next one, and the error."""

_UNAUTHORIZED = 401
_TOO_MANY = (429, 503)


class Attempts:
    """Sends requests as often as it takes.

    Args:
        http: Sends each once.
        auth: Asked for a new credential after a 401.
        policy: When a failed attempt is followed by another.
        limits: Keeps the silence that the server asks for.
        observer: Told of retries and of silence.
        chance: Gives random numbers from 0 to 1.
        sleep: Waits between attempts.
    """

    def __init__(
        self,
        http: Http,
        *,
        auth: Auth,
        policy: RetryPolicy,
        limits: Limits,
        observer: Observer | None = None,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._policy = policy
        self._limits = limits
        self._observer = observer
        self._chance = chance
        self._sleep = sleep
        self._budget = RetryBudget(policy.budget)
        self._renewal = _Renewal(auth)

    async def send(
        self,
        request: Request[T],
        body: Body | None = None,
        *,
        on_retry: OnRetry | None = None,
        urgent: bool = False,
    ) -> T:
        """Send a request until it is answered, and read its answer.

        Args:
            request: What to send.
            body: Data between its prefix and suffix; with it, the caller holds a permit.
            urgent: Whether it goes before all others that move no bytes.
            on_retry: Told of each retry; by default the observer is. An attempt after which only
                the credential is renewed isn't counted.

        Raises:
            DomoFilesError: The error of the last attempt.
            Exception: Whatever *body* or *on_retry* raised.
        """

        async def once(attempt: int) -> T:
            if body is not None:
                return await self._http.send(request, body, attempt=attempt)
            async with self._limits.urgent if urgent else self._limits.light:
                # What was lent may have run out while this waited for its turn.
                await self._limits.wait_hold()
                return await self._http.send(request, attempt=attempt)

        return await self._persist(
            request,
            once,
            resendable=body is None or body.repeatable,
            on_retry=on_retry,
        )

    @asynccontextmanager
    async def open_stream(self, request: Request[None]) -> AsyncIterator[ReplyStream]:
        """Send a request until its answer begins, and give it to be read in chunks.

        Args:
            request: What to send.

        Raises:
            DomoFilesError: The error of the last attempt.
        """
        async with AsyncExitStack() as stack:
            yield await self._persist(
                request,
                lambda attempt: stack.enter_async_context(
                    self._http.open_stream(request, attempt=attempt)
                ),
                resendable=True,
                on_retry=None,
            )

    async def _persist(
        self,
        request: Request[Any],
        once: Callable[[int], Awaitable[T]],
        *,
        resendable: bool,
        on_retry: OnRetry | None,
    ) -> T:
        attempt, renewed = 1, False
        failure: DomoFilesError | None = None
        try:
            while True:
                await self._limits.wait_hold()
                asked = self._renewal.now
                began = asyncio.get_running_loop().time()
                try:
                    value = await once(attempt)
                except DomoFilesError as error:
                    failure = error
                else:
                    self._budget.give_back()
                    return value
                if _is_one_too_many(failure):
                    self._limits.refuse(began)
                may_go_again = resendable or isinstance(failure, ConnectError)
                is_refused = (
                    isinstance(failure, AuthenticationError) and failure.status == _UNAUTHORIZED
                )
                if is_refused and not renewed and may_go_again and await self._renewal.renew(asked):
                    renewed = True
                    continue
                verdict = self._decide(failure, attempt, repeatable=request.repeatable)
                if verdict is None or not may_go_again:
                    raise failure
                delay = self._spend(verdict)
                self._tell(request, attempt, delay, failure, on_retry)
                await self._limits.rest(self._sleep(delay))
                attempt += 1
        finally:
            # Its traceback holds this frame: whatever was to be sent would wait for a collection.
            del failure

    def judge(self, failure: DomoFilesError, *, attempt: int) -> float | None:
        """Say how many seconds to wait before a stream that broke off goes on; `None`: it ends.

        Args:
            failure: What it broke off with.
            attempt: How often nothing came, from 1.
        """
        verdict = self._decide(failure, attempt, repeatable=True)
        return None if verdict is None else self._spend(verdict)

    def _decide(self, failure: DomoFilesError, attempt: int, *, repeatable: bool) -> Retry | None:
        self._keep_silence(failure)
        verdict = decide_retry(
            failure,
            attempt=attempt,
            repeatable=repeatable,
            policy=self._policy,
            chance=self._chance(),
            budget=self._budget,
        )
        match verdict:
            case Retry():
                return verdict
            case GiveUp():
                return None

    def _spend(self, verdict: Retry) -> float:
        if not verdict.is_free:
            self._budget.take()
        return verdict.after

    def _keep_silence(self, failure: DomoFilesError) -> None:
        asked = failure.retry_after if isinstance(failure, ApiError) else None
        if asked is not None and 0 < asked <= self._policy.max_retry_after:
            self._limits.hold(asked)
            notify(self._observer, Throttled(delay=asked))

    def _tell(
        self,
        request: Request[Any],
        attempt: int,
        delay: float,
        failure: DomoFilesError,
        on_retry: OnRetry | None,
    ) -> None:
        if on_retry is not None:
            on_retry(attempt, delay, failure)
            return
        event = RequestRetried(
            operation=request.operation, attempt=attempt, delay=delay, error=failure
        )
        notify(self._observer, event)


def _is_one_too_many(failure: DomoFilesError) -> bool:
    is_maintenance = isinstance(failure, MaintenanceError)
    return isinstance(failure, ApiError) and failure.status in _TOO_MANY and not is_maintenance


class _Renewal:
    """Asks for a new credential, one caller for all who were refused with the same one."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self._asking = asyncio.Lock()
        self._asked = 0
        self._renewed = 0

    @property
    def now(self) -> tuple[int, int]:
        """How often was asked, and how often with success: which credential is in use."""
        return self._asked, self._renewed

    async def renew(self, then: tuple[int, int]) -> bool:
        """Say whether there is a newer credential than *then*."""
        async with self._asking:
            asked, renewed = then
            if self._renewed > renewed:
                return True
            if self._asked > asked:
                return False
            try:
                # A caller's own may return nothing.
                is_new = bool(await self._auth.refresh())
            except Exception:
                self._asked += 1
                raise
            self._asked += 1
            self._renewed += is_new
            return is_new
