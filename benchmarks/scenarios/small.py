"""3,000 files of 4 KiB, beside the plain way, httpx, and threads with requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.bench import Check, Result, installed, interleave, ratios, summary, table
from benchmarks.files import make_folder
from benchmarks.jobs import Job
from benchmarks.servers import running_sink

if TYPE_CHECKING:
    from benchmarks.bench import Bench

OURS = "small.ours"
WANTED = {"small.aiohttp": 1.3, "small.httpx": 1.0, "small.requests": 1.0}
COUNT, SIZE = 3000, 4096


def measure(bench: Bench) -> Result:
    folder = make_folder(bench.folder, COUNT, SIZE)
    with running_sink(bench.native) as sink:
        taken = sink.taken()["bodies"]

        def all_came(job: Job) -> None:
            nonlocal taken
            before, taken = taken, sink.taken()["bodies"]
            if taken - before != COUNT:
                raise RuntimeError(f"{job.who} sent {taken - before} files rather than {COUNT}")

        jobs = [Job(who=who, url=sink.url, path=str(folder)) for who in installed((OURS, *WANTED))]
        found = interleave(jobs, bench.repeats, after=all_came)
    rows = {who: summary(runs, COUNT, "files/s") for who, runs in found.items()}
    print(f"\n{COUNT} files of {SIZE} bytes, plain HTTP, {bench.repeats} interleaved runs")
    print(table(rows))
    checks = []
    for who, wanted in WANTED.items():
        if who not in found:
            continue
        ahead = ratios(found, OURS, who)
        promise = f"at least {wanted:g} times the rate of {who}"
        checks.append(Check(promise, str(ahead), ahead.median >= wanted))
    return Result(figures={"who": rows}, checks=checks)
