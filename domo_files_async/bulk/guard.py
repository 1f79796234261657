"""What a run asks before it sends: the server's time, and whether the server is there at all."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from domo_files_async.bulk.plan import Failure, classify
from domo_files_async.errors import (
    ApiError,
    AuthenticationError,
    DomoFilesError,
    OutcomeUnknownError,
    TransferError,
    UnexpectedResponseError,
)
from domo_files_async.planning.retry import is_mendable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from domo_files_async.session import DomoFilesSession

__all__ = ("Guard", "ServerTime")

_WINDOW = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


class ServerTime:
    """The server's time for the journal; asked for once, where no answer has told it yet."""

    def __init__(self, domo: DomoFilesSession) -> None:
        self._domo = domo
        self._asking = asyncio.Lock()
        self._asked = False

    async def now(self) -> str | None:
        """Give the earliest that the server's clock can show, in ISO 8601.

        Raises:
            AuthenticationError: The credential isn't taken.
            TransportError: The server can't be reached.
        """
        if self._domo.server_time() is None and not self._asked:
            async with self._asking:
                if not self._asked:
                    await self._ask()
        now = self._domo.server_time()
        return None if now is None else now.isoformat()

    async def _ask(self) -> None:
        try:
            await self._domo.list_files(ids=(1,))
        except AuthenticationError:
            raise
        except (ApiError, UnexpectedResponseError):
            # Any answer tells the time.
            pass
        self._asked = True


class Guard:
    """Tells a server that is down, which is waited for, from a job that is wrong, which ends.

    Args:
        domo: Asked now and then whether the server is back.
        limit: Share of the last 100 items that may fail; `None` for no limit.
        patience: Seconds to wait at most for a server that is down.
        wait: Waits so many seconds, or less when nothing more is to be begun.
        halt: Ends the run with an error.

    Attributes:
        is_up: Set while items may be begun.
    """

    def __init__(
        self,
        domo: DomoFilesSession,
        *,
        limit: float | None,
        patience: float,
        wait: Callable[[float], Awaitable[None]],
        halt: Callable[[DomoFilesError], None],
    ) -> None:
        self._domo = domo
        self._limit = limit
        self._patience = patience
        self._wait = wait
        self._halt = halt
        self._recent: deque[bool] = deque(maxlen=_WINDOW)
        self._did_any = True
        self._waiting: asyncio.Task[None] | None = None
        self.is_up = asyncio.Event()
        self.is_up.set()

    def succeeded(self) -> None:
        """Take note of an item that is done."""
        self._recent.append(False)
        self._did_any = True

    def failed(self, error: DomoFilesError) -> None:
        """Take note of one that failed; once most do, wait for the server or end the run."""
        self._recent.append(True)
        share = sum(self._recent) / _WINDOW
        if self._limit is None or len(self._recent) < _WINDOW or share <= self._limit:
            return
        if not self.is_up.is_set():
            return
        wrong = TransferError(
            f"The job paused: {share:.0%} of the last {_WINDOW} items failed, so that something "
            f"is wrong with all of them. The last one: {error}"
        )
        is_down = isinstance(error, OutcomeUnknownError) or classify(error) is Failure.LATER
        if is_down and self._did_any:
            self._did_any = False
            self.is_up.clear()
            self._waiting = asyncio.create_task(self._wait_out(wrong))
        else:
            # It answers when asked, and still nothing gets through.
            self._halt(wrong)

    async def close(self) -> None:
        """Wait for nothing any more."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.wait({self._waiting})

    async def _wait_out(self, wrong: TransferError) -> None:
        try:
            left, pause = self._patience, _FIRST_PAUSE
            while left > 0:
                await self._wait(min(left, pause))
                left, pause = left - pause, min(2 * pause, _LONGEST_PAUSE)
                if await self._answers():
                    break
            else:
                self._halt(wrong)
        except DomoFilesError as error:
            self._halt(error)
        finally:
            self._recent.clear()
            self.is_up.set()

    async def _answers(self) -> bool:
        try:
            await self._domo.list_files(ids=(1,))
        except AuthenticationError:
            raise
        except DomoFilesError as error:
            return not is_mendable(error)
        return True
