"""Encrypts and sends what is long in threads, on connections that the loop lends.

On the loop that would take a second for each GiB. Without TLS there is no need: to hand bytes to
the system costs the loop little more than to have a thread do it.

Rule 1: a connection is lent only when all that was written before is with the system, and the last
bytes of a request are the loop's, who knows then whether the server may have it all.
Rule 2: no thread waits for a slow connection while another connection waits for a thread.
Rule 3: a thread is told to leave by shutting its connection down, which it learns at once.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from domo_files_async.transport.tls import RECORDS, TlsTransport

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("LentConnection", "Senders")

_BRIEF: Final = 0.005
"""Seconds that a thread waits for a connection in any case, unless it is known to be slow."""

_LOOK: Final = 0.005
_LOOKS: Final = 10
"""Looks after others, while a thread waits for a connection."""

_TURNS: Final = 2
"""Turns in which a loop reads what is there."""


class LentConnection:
    """An encrypted connection, for one thread at a time.

    Args:
        transport: The connection's.
        own: A socket of its own on it.

    Attributes:
        transport: The same, which outlives what is lent of it.
    """

    def __init__(self, transport: TlsTransport, own: socket.socket) -> None:
        self.transport = transport
        self._socket = own
        self._unsent = memoryview(b"")

    @classmethod
    def of(cls, transport: asyncio.Transport) -> LentConnection | None:
        """Give what can be lent of a connection; `None` where the loop does everything."""
        below = transport.get_extra_info("socket")
        if not isinstance(transport, TlsTransport) or below is None or not hasattr(select, "poll"):
            return None
        return cls(transport, below.dup())

    def begin(self) -> bool:
        """Lend it, if nothing written before is on its way."""
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            return False
        self.transport.is_lent = True
        return True

    def end(self) -> None:
        """Take it back; what a thread encrypted and didn't send is on its way."""
        self.transport.take_back(self._unsent)
        self._unsent = memoryview(b"")

    def fileno(self) -> int:
        """Give the descriptor to wait for."""
        return self._socket.fileno()

    @property
    def is_wanted(self) -> bool:
        """Whether the loop has something to do on it."""
        return self.transport.is_wanted

    def send(self, view: memoryview) -> int:
        """Send the first records of it, in a thread; give how much that was.

        Raises:
            BlockingIOError: It takes nothing now.
            OSError: It is lost, or can't go on before something arrived.
        """
        self._send_encrypted()
        count, encrypted = self.transport.encrypt_lent(view[:RECORDS])
        self._unsent = memoryview(encrypted)
        with suppress(BlockingIOError):
            self._send_encrypted()
        return count

    def _send_encrypted(self) -> None:
        while self._unsent:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]

    def shut_down(self) -> None:
        """End it; whoever waits for it learns that at once."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close what is its own."""
        self._socket.close()


class Senders:
    """Threads that send; they start when they are needed.

    Args:
        cores: Of the machine: others hash meanwhile, and the loop has its share.
    """

    def __init__(self, cores: int) -> None:
        self._pool = ThreadPoolExecutor(max(1, min(4, cores // 2)), "domo-files-sender")
        self._waiting = 0
        self._counting = threading.Lock()

    async def send(
        self, connection: LentConnection, view: memoryview, sent: Callable[[int], None]
    ) -> int:
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
        self, connection: LentConnection, view: memoryview, sent: Callable[[int], None]
    ) -> int:
        self._wait(1)
        job = self._pool.submit(self._send, connection, view, sent)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            connection.shut_down()
            if job.cancelled():
                self._wait(-1)
            ended = asyncio.wrap_future(job)
            while not ended.done():
                # Whoever is cancelled twice waits as well: the loop must not touch what it uses.
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({ended})
            if not ended.cancelled():
                ended.exception()  # that it is lost is no news
            raise

    def _wait(self, more: int) -> None:
        with self._counting:
            self._waiting += more

    def close(self) -> None:
        """Let the threads end; waits for none."""
        self._pool.shutdown(wait=False)

    def _send(
        self, connection: LentConnection, view: memoryview, sent: Callable[[int], None]
    ) -> int:
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

    def _takes_more(self, connection: LentConnection, poll: select.poll) -> bool:
        if not connection.transport.is_slow and poll.poll(_BRIEF * 1000):
            return True
        connection.transport.is_slow = True
        for _ in range(_LOOKS):
            if self._waiting or connection.is_wanted:
                return False
            if poll.poll(_LOOK * 1000):
                return True
        return False
