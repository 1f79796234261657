"""Which worker has which items, and until when. No clock here: times are arguments."""

from __future__ import annotations

import attrs

__all__ = ("Leases",)


@attrs.define
class _Held:
    until: float
    sizes: dict[int, int] = attrs.Factory(dict)
    size: int = 0


class Leases:
    """Items that workers have, sized by bytes.

    Args:
        seconds: How long a lease holds that isn't renewed.
        max_bytes: Bytes that one worker holds at most, but for one item that is larger.
    """

    def __init__(self, *, seconds: float, max_bytes: int) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._workers: dict[str, _Held] = {}
        self._holder: dict[int, str] = {}

    def join(self, worker: str, now: float) -> None:
        """Take note of a worker that may have items."""
        self._workers.setdefault(worker, _Held(now + self._seconds))

    def leave(self, worker: str) -> set[int]:
        """Forget a worker.

        Returns:
            The items that it held.
        """
        held = self._workers.pop(worker, None)
        numbers = set() if held is None else set(held.sizes)
        for number in numbers:
            del self._holder[number]
        return numbers

    def until(self, worker: str) -> float:
        """Say until when a worker may begin something."""
        held = self._workers.get(worker)
        return 0.0 if held is None else held.until

    def count(self, worker: str) -> int:
        """Say how many items a worker holds."""
        return len(self._workers[worker].sizes)

    def fits(self, worker: str, size: int, now: float) -> bool:
        """Say whether a worker whose lease holds may have an item of *size* bytes besides."""
        held = self._workers.get(worker)
        if held is None or held.until <= now:
            return False
        return not held.sizes or held.size + size <= self._max_bytes

    def take(self, worker: str, number: int, size: int) -> None:
        """Give an item that nobody holds to a worker."""
        if number in self._holder:
            raise ValueError(f"Item {number} is held by {self._holder[number]}")
        held = self._workers[worker]
        held.sizes[number] = size
        held.size += size
        self._holder[number] = worker

    def give_back(self, number: int) -> None:
        """Take an item from whoever holds it."""
        worker = self._holder.pop(number, None)
        if worker is not None:
            held = self._workers[worker]
            held.size -= held.sizes.pop(number)

    def renew(self, worker: str, now: float) -> None:
        """Take note that a worker answered."""
        if worker in self._workers:
            held = self._workers[worker]
            held.until = max(held.until, now + self._seconds)

    def expire(self, now: float) -> dict[int, str]:
        """Take the items from workers whose lease ran out.

        Returns:
            Each such item, and the worker that had it.
        """
        late = [worker for worker, held in self._workers.items() if held.until <= now]
        taken = {number: worker for worker in late for number in self._workers[worker].sizes}
        for number in taken:
            self.give_back(number)
        return taken
