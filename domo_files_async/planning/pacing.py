"""How many requests at once, and how fast bytes may go.

No clock here: its readings are arguments.
"""

from __future__ import annotations

import enum
import math

__all__ = ("ConcurrencyController", "TokenBucket")

_START = 4
_DOUBLED = 1.1
"""What twice as many at once must at least bring, as a factor, to go on doubling."""

_WORTH = 0.5
"""What more at once must bring, as a share of what it would bring without any limit."""

_LINEAR = 0.8
_AS_GOOD = 0.98
_NEWEST = 0.4
_FADING = 0.99
_MISSED = 0.95
_CHANGED = 1.4
"""Goodput that differs by this factor while nothing was changed: the link isn't what it was."""

_SETTLE = 0.05
_UNUSED = 1.0
_LATENCY = 0.1
_LATENCY_CREEP = 1.05
_LONGEST_LATENCY = 2.0
_HASTY = 0.1
_THOROUGH = 0.5
_LONGEST_CYCLE = 1.5
_SHORTEST_CYCLE = 0.001
_WORTH_OF_ONE = 256 * 1024
"""Bytes that a finished request counts as, so that small files count as well."""

_LEAST_WORK = 1024 * 1024
_LONGEST_WINDOW = 5.0
_FEWER_AFTER = 8.0


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


class _Phase(enum.Enum):
    RAMP = "doubling"
    HOLD = "holding"
    MORE = "trying more"
    FEWER = "trying fewer"


class ConcurrencyController:
    """Finds out how many requests at once a link takes.

    Goodput at one level is compared with goodput at another. By Little's law that is also the rule
    for latency: where more at once brings no more bytes, each request only takes longer.

    Rule 1: double while that clearly pays; then try a little more and a little fewer, ever more
    rarely as long as nothing comes of it. Fewer wins a draw.
    Rule 2: only time in which all permits are in use is measured: an application that asks for
    less, and a silence that the server asked for, say nothing about the link.
    Rule 3: refusals (429, 503) cut at once, at most to half for all that were under way then. What
    was refused is left alone for a while, and for longer each time.
    Rule 4: more is never tried on a busy machine: they would share what there is, and cost more.

    Args:
        ceiling: Most requests at once, from 1.

    Attributes:
        limit: Requests that may be under way at once now, from 1 to *ceiling*.
    """

    def __init__(self, ceiling: int) -> None:
        self.limit = min(_START, ceiling)
        self._ceiling = ceiling
        self._phase = _Phase.RAMP
        self._base = self.limit
        self._rate: float | None = None
        self._peak = 0.0
        self._latency = _LATENCY
        self._is_latency_known = False
        self._cycle = 0.0
        self._seen_at: float | None = None
        self._finished = 0
        self._settled = self._span = self._work = self._unused = 0.0
        # To try more costs next to nothing, to try fewer some goodput, to be refused a silence.
        self._more = _Patience(1, 8)
        self._fewer = _Patience(1, 60)
        self._wall: int | None = None
        self._walled = _Patience(5, 60)
        self._cut_at = -math.inf
        self._floor = 1
        self._is_busy = False

    def __repr__(self) -> str:
        return f"<ConcurrencyController {self.limit} of {self._ceiling}, {self._phase.value}>"

    def restart(self) -> None:
        """Measure anew, since the link isn't what it was."""
        self._phase, self._rate, self._peak = _Phase.RAMP, None, 0.0
        self._settle()

    def on_latency(self, seconds: float) -> None:
        """Take note of how long a small request took."""
        least = self._latency * _LATENCY_CREEP if self._is_latency_known else math.inf
        self._latency = min(seconds, least, _LONGEST_LATENCY)
        self._is_latency_known = True

    def on_finished(self, seconds: float) -> None:
        """Take note of a request that held a permit for *seconds*, and was answered."""
        self._finished += 1
        self._cycle += (seconds - self._cycle) * (_NEWEST if self._cycle else 1)

    def on_refused(self, began: float, in_flight: int, now: float) -> None:
        """Take note of a refusal because there were too many requests.

        Args:
            began: When the refused request was sent.
            in_flight: Others under way.
            now: Seconds of the same clock.
        """
        if began >= self._cut_at:
            self._cut_at = now
            self._floor = max(1, self.limit // 2)
            if self._walled.is_over(now):
                self._walled.again(now)
            self._fewer.again(now, _FEWER_AFTER)
            in_flight = min(in_flight, self.limit - 1)
        self._hold(max(self._floor, min(self.limit, in_flight)), None)
        self._wall = self.limit
        self._walled.start(now)

    def observe(
        self, now: float, work: float, in_flight: int | None, *, is_busy: bool = False
    ) -> None:
        """Take note of what was done since the last call.

        Args:
            now: Seconds of a monotonic clock.
            work: Bytes that moved.
            in_flight: Requests under way in all that time; `None` if it varied, or if silence was
                kept.
            is_busy: Whether this process uses most of the machine's processors.
        """
        self._is_busy = is_busy
        span = 0.0 if self._seen_at is None else max(0.0, now - self._seen_at)
        self._seen_at = now
        work += self._finished * _WORTH_OF_ONE
        self._finished = 0
        if in_flight == self.limit:
            self._unused = 0.0
            self._measure(span, work, now)
        elif self._phase is _Phase.MORE:
            self._unused += span
            if self._unused > _UNUSED + self._latency:
                self._hold(self._base, self._rate)

    def _measure(self, span: float, work: float, now: float) -> None:
        if self._settled < _SETTLE + self._latency:
            self._settled += span
            return
        self._span += span
        self._work += work
        if self._span < self._needed():
            return
        if self._work < (_LEAST_WORK if self._span < _LONGEST_WINDOW else 1):
            return
        rate = self._work / self._span
        self._span = self._work = 0.0
        self._judge(rate, now)

    def _needed(self) -> float:
        if self._phase is _Phase.RAMP:
            least, longest = max(_HASTY, self._latency), _THOROUGH
        else:
            least, longest = max(_THOROUGH, 4 * self._latency), _LONGEST_CYCLE
        # Requests that began together pause together: whole turns are measured.
        if _SHORTEST_CYCLE < self._cycle < longest:
            return math.ceil(least / self._cycle) * self._cycle
        return least

    def _judge(self, rate: float, now: float) -> None:
        before = self._rate
        match self._phase:
            case _Phase.HOLD:
                self._look_around(rate, now)
            case _Phase.RAMP if self._pays(rate, before):
                self._climb(rate, now)
            case _Phase.RAMP:
                self._more.start(now)
                self._fewer.start(now)
                # What was measured on the way up was measured in haste.
                self._hold(self._base, None)
            case _Phase.MORE:
                assert before is not None
                step = self.limit / self._base - 1
                if rate >= before * (1 + step * _WORTH):
                    if self._wall is not None and self.limit > self._wall:
                        self._wall = None
                    self._more.reset(now)
                    self._fewer.again(now)
                    if rate >= before * (1 + step * _LINEAR):
                        self._climb(rate, now)
                    else:
                        self._hold(self.limit, rate)
                else:
                    self._more.again(now)
                    self._hold(self._base, before)
            case _:
                assert before is not None
                if rate >= max(before, self._peak) * _AS_GOOD:
                    self._fewer.start(now)
                    self._more.again(now)
                    self._hold(self.limit, rate)
                else:
                    self._fewer.again(now)
                    self._hold(self._base, before)

    def _pays(self, rate: float, before: float | None) -> bool:
        if before is None:
            return not self._is_busy
        return rate >= before * _DOUBLED

    def _climb(self, rate: float, now: float) -> None:
        top = self._top(now)
        if self.limit >= top:
            self._more.start(now)
            # Fewer would be worse: that was just seen.
            self._fewer.again(now, _FEWER_AFTER)
            self._hold(self.limit, rate)
        else:
            self._base, self._rate, self._phase = self.limit, rate, _Phase.RAMP
            self._go(min(2 * self.limit, top))

    def _look_around(self, rate: float, now: float) -> None:
        before = self._rate
        self._rate = rate if before is None else before + (rate - before) * _NEWEST
        if before is not None and not before / _CHANGED < rate < before * _CHANGED:
            self._rate = self._peak = rate
            self._more.reset(now)
        self._peak = max(self._rate, self._peak * _FADING)
        top = self._top(now)
        missed = self._rate < self._peak * _MISSED
        if self.limit < top and (missed or self._more.is_over(now)):
            self._probe(_Phase.MORE, min(top, self.limit + max(1, self.limit // 4)))
        elif self.limit > 1 and self._fewer.is_over(now):
            self._probe(_Phase.FEWER, self.limit - max(1, self.limit // 4))

    def _top(self, now: float) -> int:
        if self._is_busy:
            return self.limit
        if self._wall is None:
            return self._ceiling
        return min(self._ceiling, self._wall + (1 if self._walled.is_over(now) else 0))

    def _probe(self, phase: _Phase, limit: int) -> None:
        self._base, self._phase, self._unused = self.limit, phase, 0.0
        self._go(limit)

    def _hold(self, limit: int, rate: float | None) -> None:
        self._phase, self._rate = _Phase.HOLD, rate
        if limit != self.limit:
            self._go(limit)

    def _go(self, limit: int) -> None:
        self.limit = limit
        self._settle()

    def _settle(self) -> None:
        self._settled = self._span = self._work = 0.0


class _Patience:
    """A wait that doubles each time that it was in vain."""

    def __init__(self, least: float, longest: float) -> None:
        self._least = least
        self._longest = longest
        self._wait = least
        self._until = 0.0

    def is_over(self, now: float) -> bool:
        return now >= self._until

    def start(self, now: float) -> None:
        self._until = now + self._wait

    def again(self, now: float, least: float = 0.0) -> None:
        self._wait = max(least, min(self._longest, 2 * self._wait))
        self.start(now)

    def reset(self, now: float) -> None:
        self._wait = self._least
        self._until = now
