"""Encrypts and sends what is long in threads, on connections that the loop lends.

On the loop that would take a second for each GiB. Without TLS there is no need: to hand bytes to
the system costs the loop little more than to have a thread do it.

Rule 1: the last bytes of a request are the loop's, who knows then whether the server may have all.
Rule 2: no thread waits for a slow connection while another connection waits for a thread.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from domo_files_async.transport.lent import has_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from domo_files_async.transport.lent import Sending

__all__ = ("Senders",)

_BRIEF: Final = 0.005
"""Seconds that a thread waits for a connection in any case, unless it is known to be slow."""

_LOOK: Final = 0.005
_LOOKS: Final = 10
"""Looks after others, while a thread waits for a connection."""

_TURNS: Final = 2
"""Turns in which a loop reads what is there."""


class Senders:
    """Threads that send; they start when they are needed.

    Args:
        cores: Of the machine: others hash meanwhile, and the loop has its share.
    """

    def __init__(self, cores: int) -> None:
        self._pool = ThreadPoolExecutor(max(1, min(4, cores // 2)), "domo-files-sender")
        self._waiting = 0
        self._counting = threading.Lock()

    async def send(self, connection: Sending, view: memoryview, sent: Callable[[int], None]) -> int:
        """Send as much of *view* as the connection takes without much waiting.

        Args:
            connection: Shut down when this is cancelled.
            view: What to send; in use until this returned or raised.
            sent: Told in the thread, how many bytes were sent.

        Returns:
            Bytes that were sent.

        Raises:
            OSError: The connection is lost.
        """
        if not connection.begin():
            return 0
        try:
            return await self._lent(connection, view, sent)
        except OSError:
            # What the other side said before it closed has to be heard: it may be the answer.
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            raise
        finally:
            connection.end()

    async def _lent(
        self, connection: Sending, view: memoryview, sent: Callable[[int], None]
    ) -> int:
        self._wait(1)
        job = self._pool.submit(self._send, connection, view, sent)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            connection.shut_down()
            if job.cancelled():
                self._wait(-1)
            await has_left(asyncio.wrap_future(job))
            raise

    def _wait(self, more: int) -> None:
        with self._counting:
            self._waiting += more

    def close(self) -> None:
        """Let the threads end; waits for none."""
        self._pool.shutdown(wait=False)

    def _send(self, connection: Sending, view: memoryview, sent: Callable[[int], None]) -> int:
        self._wait(-1)
        poll = select.poll()
        poll.register(connection, select.POLLOUT)
        done = 0
        while done < len(view) and not connection.is_wanted:
            try:
                count = connection.send(view[done:])
            except BlockingIOError:
                if not self._takes_more(connection, poll):
                    break
            except ssl.SSLWantReadError:
                break
            else:
                done += count
                sent(count)
        else:
            connection.transport.is_slow = False
        return done

    def _takes_more(self, connection: Sending, poll: select.poll) -> bool:
        if not connection.transport.is_slow and poll.poll(_BRIEF * 1000):
            return True
        connection.transport.is_slow = True
        for _ in range(_LOOKS):
            if self._waiting or connection.is_wanted:
                return False
            if poll.poll(_LOOK * 1000):
                return True
        return False
