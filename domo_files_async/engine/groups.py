"""A task group whose first error comes out as itself, and of which nothing is left then.

What asyncio leaves, a traceback's frames and whose group it was, leads back to the error that it
raised, which would keep all that these frames hold until a garbage collection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

__all__ = ("TaskGroup",)

T = TypeVar("T")


class TaskGroup:
    """A task group; when a task fails, the others end and its error is raised, ungrouped."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = asyncio.TaskGroup()

    def create_task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run *work* in a task of the group's."""
        assert self._group is not None
        return self._group.create_task(work)

    async def __aenter__(self) -> Self:
        assert self._group is not None
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._group is not None
        failure: BaseException
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as errors:
            errors.with_traceback(None)
            failure = errors.exceptions[0]
        except asyncio.CancelledError as cancelled:
            failure = cancelled.with_traceback(trace if cancelled is error else None)
        else:
            return
        finally:
            self._group = None
        try:
            raise failure from failure.__cause__
        finally:
            del failure, error
