"""How fast bytes go: a bucket of leave that fills steadily. Clock readings are arguments."""

from __future__ import annotations

__all__ = ("TokenBucket",)


class TokenBucket:
    """Keeps a stream of sizes below a rate.

    Args:
        rate: Bytes a second; `None` for no limit.
        burst: Bytes that may go at once after a silence.
    """

    def __init__(self, rate: float | None, *, burst: float) -> None:
        self.rate = rate
        self._burst = burst
        self._left = burst
        self._at: float | None = None

    def delay(self, size: int, now: float) -> float:
        """Take leave for *size* bytes, on credit if need be.

        Args:
            size: Bytes about to be sent.
            now: Seconds of a monotonic clock.

        Returns:
            Seconds to wait before they are sent.
        """
        if self.rate is None:
            return 0.0
        self._fill(now)
        self._left -= size
        return max(0.0, -self._left / self.rate)

    def set_rate(self, rate: float | None, now: float) -> None:
        """Change the rate; what was taken on credit is paid at the new one."""
        if self.rate is not None:
            self._fill(now)
        self.rate = rate
        self._at = now

    def _fill(self, now: float) -> None:
        assert self.rate is not None
        if self._at is not None:
            self._left = min(self._burst, self._left + (now - self._at) * self.rate)
        self._at = now
