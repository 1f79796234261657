"""Connections that the loop lends to a thread, which sends or receives what is long.

Whoever receives bytes, writes and digests them while its processor still has them near: handed
from the loop to a thread they would cost a third more.

Rule 1: a connection is lent for sending when all that was written before is with the system, and
for receiving when all that came before was read; then the loop does neither.
Rule 2: no thread waits long: what a slow connection doesn't take or give soon is for the loop.
Rule 3: how a connection ends is for the loop to tell, who finds it as it was.
Rule 4: a thread is told to leave by shutting its connection down, which it learns at once.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Final

from domo_files_async.transport.tls import RECORDS, TlsTransport

__all__ = ("Receiving", "Sending", "has_left")

_SOON: Final = 0.001
"""Seconds that a thread waits, all in all, for what it receives in one go: it is worth its while
where bytes are there already, while many slow connections do better side by side on the loop."""

_ARRIVING: Final = 256 * 1024
"""Encrypted bytes that are received in one go, at most."""

_LEAST_ARRIVING: Final = 64 * 1024


def _own_socket(transport: asyncio.Transport) -> socket.socket | None:
    """Make a socket of one's own on a connection; `None` where that can't be had or waited for."""
    raw = transport.get_extra_info("socket")
    if raw is None or not hasattr(select, "poll"):
        return None
    try:
        own = socket.socket(fileno=os.dup(raw.fileno()))
    except OSError:
        # So many files are open that the loop has to do it.
        return None
    own.settimeout(0)
    return own


async def has_left(job: asyncio.Future[Any]) -> None:
    """Wait until a thread has done its *job*, however often whoever waits is cancelled.

    The loop must not touch what the thread still uses.
    """
    while not job.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({job})
    if not job.cancelled():
        job.exception()  # that the connection is lost is no news


class Sending:
    """An encrypted connection on which one thread at a time sends.

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
    def of(cls, transport: asyncio.Transport) -> Sending | None:
        """Give what can be lent of a connection; `None` where the loop does everything."""
        if not isinstance(transport, TlsTransport):
            return None
        own = _own_socket(transport)
        return None if own is None else cls(transport, own)

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


class Receiving:
    """A connection of which one thread at a time receives.

    Args:
        tls: The connection's transport where it is encrypted.
        own: A socket of its own on it.

    Attributes:
        rest: Of what came before it was lent, what wasn't given out.
        received: Bytes that came since.
        given: Bytes that were given out since.
    """

    def __init__(self, tls: TlsTransport | None, own: socket.socket) -> None:
        self._tls = tls
        self._socket = own
        self._poll = select.poll()
        self._poll.register(own, select.POLLIN)
        self._using = threading.Lock()
        self._scratch = memoryview(bytearray(0 if tls is None else _LEAST_ARRIVING))
        self._is_lent = False
        self._left = 0
        self.rest = memoryview(b"")
        self.received = self.given = 0

    @classmethod
    def of(cls, transport: asyncio.Transport) -> Receiving | None:
        """Give what can be lent of a connection; `None` where only the loop can receive."""
        tls = transport if isinstance(transport, TlsTransport) else None
        if tls is None and transport.get_extra_info("sslcontext") is not None:
            return None
        own = _own_socket(transport)
        return None if own is None else cls(tls, own)

    def begin(self, left: int, rest: memoryview) -> None:
        """Lend it; *left* bytes are to come after *rest*, which came already."""
        self._is_lent, self._left, self.rest = True, left, rest
        self.received = self.given = 0
        if self._tls is not None:
            self._tls.is_lent = True

    def end(self) -> None:
        """Take it back, also from a thread that hasn't ended."""
        with self._using:
            self._is_lent = False
        if self._tls is not None:
            self._tls.take_back(memoryview(b""))

    def receive_into(self, view: memoryview) -> int:
        """Receive in a thread until *view* is full, or no more comes soon.

        Returns:
            Bytes that were received.
        """
        with self._using:
            if not self._is_lent:
                return 0
            count = min(len(view), len(self.rest))
            view[:count], self.rest = self.rest[:count], self.rest[count:]
            came = self._fill(view[count : count + self._left])
            self._left -= came
            self.received += came
            self.given += count + came
        return count + came

    def _fill(self, view: memoryview) -> int:
        count, waited = 0, 0.0
        while count < len(view) and waited < _SOON:
            try:
                step = self._receive(view[count:])
            except BlockingIOError:
                began = time.monotonic()
                self._poll.poll(_SOON * 1000)
                waited += time.monotonic() - began
                continue
            except OSError:
                # The loop finds it, too.
                break
            if not step:
                break
            count += step
        return count

    def _receive(self, view: memoryview) -> int:
        if self._tls is None:
            return self._socket.recv_into(view)
        # The same memory serves for what is still encrypted, if it isn't nearly full.
        memory = self._scratch if len(view) < _LEAST_ARRIVING else view[:_ARRIVING]
        while not (count := self._tls.decrypt_lent(view)):
            arrived = self._socket.recv_into(memory)
            if not arrived:
                break
            self._tls.arrive_lent(memory[:arrived])
        return count

    def stop(self) -> None:
        """End the connection, so that a thread leaves at once."""
        self._is_lent = False
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close what is its own, when no thread is receiving."""
        with self._using:
            self._is_lent = False
            self._socket.close()
