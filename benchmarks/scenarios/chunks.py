"""An async iterator that gives its bytes in chunks of one byte to one MiB: nothing is quadratic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.bench import Check, Result, Spread, interleave_by
from benchmarks.jobs import MIB, Job
from benchmarks.servers import running_sink

if TYPE_CHECKING:
    from benchmarks.bench import Bench

CHUNKS = (1, 16, 256, 4096, 65_536, MIB)
TOTAL, TIMES = 1_000_000, 4
LINEAR = 1.25
WAYS = {"simple": {}, "multipart": {"multipart_threshold": 0}}


def measure(bench: Bench) -> Result:
    chunks = CHUNKS[::2] if bench.is_quick else CHUNKS
    with running_sink(bench.native) as sink:
        jobs = {
            (way, chunk, total): Job(
                who="ours.chunks",
                url=sink.url,
                options={"chunk": chunk, "bytes": total, "config": config},
            )
            for way, config in WAYS.items()
            for chunk in chunks
            for total in (TOTAL, TIMES * TOTAL)
        }
        found = interleave_by(jobs, min(bench.repeats, 5))
    figures, checks = {}, []
    print("\nCPU ms of a stream of 1 MB, and what 4 times as much costs more, by its chunks")
    for way in WAYS:
        growths = {}
        for chunk in chunks:
            once, often = found[way, chunk, TOTAL], found[way, chunk, TIMES * TOTAL]
            cost = Spread.of(1000 * one.cpu for one in once)
            growth = Spread.of(b.cpu / a.cpu for a, b in zip(once, often, strict=True))
            print(f"{way:10} {chunk:8} {cost!s:>24} {growth!s:>20}")
            figures[f"{way}, {chunk}"] = {"CPU ms": cost.__dict__, "growth": growth.__dict__}
            growths[chunk] = growth.median
        worst = max(growths, key=growths.__getitem__)
        checks.append(
            Check(
                f"{way}: {TIMES} times the bytes cost at most {TIMES * LINEAR:g} times as much",
                f"{growths[worst]:.2f} times at most (chunks of {worst})",
                growths[worst] <= TIMES * LINEAR,
            )
        )
    return Result(figures=figures, checks=checks)
