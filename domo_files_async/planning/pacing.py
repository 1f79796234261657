"""How fast bytes may go: a bucket that fills steadily, and from which each byte takes its leave.

No clock here: its readings are arguments.
"""

from __future__ import annotations

__all__ = ("TokenBucket",)


class TokenBucket:
    """Keeps what is sent below a rate.

    Args:
        rate: Bytes a second; `None` for no limit.
        burst: Bytes that may go at once after a silence.
    """

    def __init__(self, rate: float | None, *, burst: float) -> None:
        self.rate = rate
        self._burst = burst
        self._left = burst
        self._filled_at: float | None = None

    def delay(self, size: int, now: float) -> float:
        """Take leave for bytes, on credit if need be.

        Args:
            size: Bytes about to be sent; 0 asks how long what was taken on credit still takes.
            now: Seconds of a monotonic clock.

        Returns:
            Seconds to wait before they are sent.
        """
        if self.rate is None:
            return 0.0
        self._fill(self.rate, now)
        self._left -= size
        return max(0.0, -self._left / self.rate)

    def set_rate(self, rate: float | None, now: float) -> None:
        """Change the rate; what was taken on credit is paid at the new one.

        Args:
            rate: Bytes a second; `None` lifts the limit, and forgives what is owed.
            now: Seconds of the same clock.
        """
        if rate is None:
            self._left = self._burst
        elif self.rate is not None:
            self._fill(self.rate, now)
        self.rate = rate

    def _fill(self, rate: float, now: float) -> None:
        if self._filled_at is not None:
            self._left = min(self._burst, self._left + (now - self._filled_at) * rate)
        self._filled_at = now
