"""One budget as shares of those who are there. What was given counts until it is handed back."""

from __future__ import annotations

__all__ = ("Shares",)


class Shares:
    """A budget of requests in flight that workers share; their sum never exceeds it.

    Args:
        budget: Requests in flight of all workers together.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._held: dict[str, int] = {}
        self._sum = 0
        self._goals: dict[str, int] = {}

    def join(self, worker: str) -> None:
        """Take note of a worker; it has nothing until it is offered something."""
        if worker not in self._held:
            self._held[worker] = 0
            self._goals = {}

    def leave(self, worker: str) -> int:
        """Take note that a worker is gone.

        Returns:
            What it may still use, until that is given `back`.
        """
        self._goals = {}
        return self._held.pop(worker, 0)

    def back(self, share: int) -> None:
        """Take note that what a worker had that is gone is no longer in use."""
        self._sum -= share

    def held(self, worker: str) -> int:
        """Say what a worker may use, as far as is known here."""
        return self._held.get(worker, 0)

    def offer(self, worker: str) -> int:
        """Give what a worker shall have now.

        What is more than before counts at once; what is less, only when it is `lowered`.
        """
        if not self._goals:
            each, over = divmod(self.budget, len(self._held))
            self._goals = {one: each + (n < over) for n, one in enumerate(self._held)}
        goal, now = self._goals[worker], self._held[worker]
        if goal > now:
            more = min(goal - now, self.budget - self._sum)
            now += more
            self._held[worker] = now
            self._sum += more
        return min(goal, now)

    def lowered(self, worker: str, to: int) -> None:
        """Take note that a worker uses no more than *to* from now on."""
        if worker in self._held and to < self._held[worker]:
            self._sum -= self._held[worker] - to
            self._held[worker] = to
