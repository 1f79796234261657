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

    def join(self, worker: str) -> None:
        """Take note of a worker; it has nothing until it is offered something."""
        self._held.setdefault(worker, 0)

    def leave(self, worker: str) -> None:
        """Take note that a worker's process is gone, and its requests with it."""
        self._held.pop(worker, None)

    def held(self, worker: str) -> int:
        """Say what a worker may use, as far as is known here."""
        return self._held.get(worker, 0)

    def offer(self, worker: str) -> int:
        """Give what a worker shall have now.

        What is more than before counts at once; what is less, only when it is `lowered`.
        """
        workers = list(self._held)
        each, over = divmod(self.budget, len(workers))
        goal = each + (workers.index(worker) < over)
        now = self._held[worker]
        if goal > now:
            now += min(goal - now, self.budget - sum(self._held.values()))
            self._held[worker] = now
        return min(goal, now)

    def lowered(self, worker: str, to: int) -> None:
        """Take note that a worker uses no more than *to* from now on."""
        if worker in self._held:
            self._held[worker] = min(self._held[worker], to)
