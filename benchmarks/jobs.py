"""What one measured process is told, and what it tells: values that go through JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a contestant has to do.

    Attributes:
        who: The contestant's name.
        url: Of the server.
        path: Of the file, or folder, that is sent or made.
        part_size: Bytes in a part.
        certificates: File of those to trust; `None` without TLS.
        client: The native client; `None` where there is none.
        options: What only this contestant takes.
    """

    who: str
    url: str
    path: str = ""
    part_size: int = 16 * MIB
    certificates: str | None = None
    client: str | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    def dump(self) -> str:
        """Write it as JSON."""
        return json.dumps(dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figures:
    """What one run cost.

    Attributes:
        seconds: From the first request to the last answer.
        cpu: Seconds of processor time in that time.
        whole_cpu: The same for the whole process, imports included.
        memory: Bytes at the peak above what the process had when it was ready.
        late: Seconds by which each tick of a ticker came too late, that slept 1 ms at a time.
        more: What only this scenario knows.
    """

    seconds: float
    cpu: float
    whole_cpu: float
    memory: int
    late: list[float]
    more: dict[str, Any] = dataclasses.field(default_factory=dict)


Work: TypeAlias = Callable[[], Awaitable[dict[str, Any] | None]]
"""Does the job; may give figures that it knows better than whoever measures it."""

Contestant: TypeAlias = Callable[[Job], AbstractAsyncContextManager[Work]]
