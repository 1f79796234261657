"""The requests that an emulator gets, as a list that can be waited for."""

from __future__ import annotations

import asyncio

__all__ = ("Arrivals",)


class Arrivals(list):
    """Takes the place of an emulator's `requests`."""

    def __init__(self):
        super().__init__()
        self._came = asyncio.Event()

    def append(self, request):
        super().append(request)
        self._came.set()

    def count(self, operation):
        """Count those of an operation; of any for `"*"`."""
        return sum(operation in {"*", one.operation} for one in self)

    async def until(self, operation, count=1):
        """Wait until so many of an operation have come."""
        while self.count(operation) < count:
            self._came.clear()
            await self._came.wait()
