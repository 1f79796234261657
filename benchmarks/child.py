"""One contestant in a process of its own: does its job once, and prints what that cost.

usage: python -m benchmarks.child JOB
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import os
import pathlib
import resource
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.jobs import Figures, Job

if TYPE_CHECKING:
    from benchmarks.jobs import Contestant

TICK = 0.001
STATUS = pathlib.Path("/proc/self/status")
REFERENCES = pathlib.Path("/proc/self/clear_refs")


def peak() -> int:
    if STATUS.exists():
        lines = STATUS.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def forget_peak() -> None:
    if REFERENCES.exists():
        REFERENCES.write_text("5")


def whole_cpu() -> float:
    usages = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


async def tick(late: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(TICK)
        late.append(time.perf_counter() - before - TICK)


def contestant(who: str) -> Contestant:
    """Find a contestant by its name, `module.function`: only its own libraries are imported."""
    module, _, name = who.partition(".")
    found: Contestant = getattr(importlib.import_module(f"benchmarks.contestants.{module}"), name)
    return found


async def measure(job: Job) -> Figures:
    late: list[float] = []
    async with contestant(job.who)(job) as work:
        ticker = asyncio.create_task(tick(late))
        await asyncio.sleep(0)
        forget_peak()
        idle, cpu, began = peak(), time.process_time(), time.perf_counter()
        better = await work() or {}
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        memory = peak() - idle
        ticker.cancel()
    figures = Figures(seconds=seconds, cpu=cpu, whole_cpu=whole_cpu(), memory=memory, late=late)
    return dataclasses.replace(figures, **better)


if __name__ == "__main__":
    done = asyncio.run(measure(Job(**json.loads(sys.argv[1]))))
    sys.stdout.write(json.dumps(dataclasses.asdict(done)) + "\n")
    sys.stdout.flush()
    os._exit(0)  # threads of some peers crash when the interpreter ends, now and then
