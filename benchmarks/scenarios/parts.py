"""What one part costs when there are few of them, and when there are 10,000."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.bench import Check, Result, Spread, interleave_by
from benchmarks.files import make_sparse_file
from benchmarks.jobs import Job
from benchmarks.servers import running_sink

if TYPE_CHECKING:
    from benchmarks.bench import Bench

COUNTS = (100, 300, 1000, 3000, 10_000)
PART = 16 * 1024
FLAT = 1.10


def measure(bench: Bench) -> Result:
    counts = COUNTS[::2] if bench.is_quick else COUNTS
    most = COUNTS[-1]
    with running_sink(bench.native) as sink:
        jobs = {
            count: Job(
                who="ours.parts",
                url=sink.url,
                path=str(make_sparse_file(bench.folder, count * PART)),
                part_size=PART,
                options={"times": most // count, "config": {"multipart_threshold": 0}},
            )
            for count in counts
        }
        found = interleave_by(jobs, bench.repeats)
    costs = {
        count: Spread.of(1e6 * one.cpu / (count * (most // count)) for one in runs)
        for count, runs in found.items()
    }
    print("\nCPU of a part, µs, by the number of parts")
    for count, cost in costs.items():
        print(f"{count:6} {cost}")
    slope = Spread.of(
        after.cpu / most / (before.cpu / (counts[0] * (most // counts[0])))
        for after, before in zip(found[most], found[counts[0]], strict=True)
    )
    check = Check(
        f"a part of {most} costs at most {FLAT} times what one of {counts[0]} does",
        str(slope),
        slope.median <= FLAT,
    )
    figures = {str(count): {"µs of CPU": cost.__dict__} for count, cost in costs.items()}
    return Result(figures=figures, checks=[check])
