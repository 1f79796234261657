"""A small upload beside a large one, in one session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.bench import Check, Result, Spread, run
from benchmarks.files import make_sparse_file
from benchmarks.jobs import MIB, Job
from benchmarks.servers import running_sink

if TYPE_CHECKING:
    from benchmarks.bench import Bench

LARGE = 4096 * MIB
SLOWER = 5.0


def measure(bench: Bench) -> Result:
    figures, checks = {}, []
    path = make_sparse_file(bench.folder, LARGE)
    print("\n10 KiB alone and beside 4 GiB, ms: median (least to greatest)")
    for name, tls in (("plain HTTP", None), ("TLS", bench.tls)):
        with running_sink(bench.native, tls=tls) as sink:
            job = Job(
                who="ours.beside", url=sink.url, path=str(path), certificates=sink.certificates
            )
            runs = [run(job).more for _ in range(min(bench.repeats, 3))]
        lonely = Spread.of(1000 * t for one in runs for t in one["lonely"])
        beside = Spread.of(1000 * t for one in runs for t in one["accompanied"])
        times = beside.median / lonely.median
        print(f"{name}: alone {lonely}, beside {beside}")
        figures[name] = {"alone ms": lonely.__dict__, "beside ms": beside.__dict__}
        checks.append(
            Check(
                f"{name}: 10 KiB beside 4 GiB take at most {SLOWER:g} times their lonely time",
                f"{times:.1f} times in the median",
                times <= SLOWER,
            )
        )
    return Result(figures=figures, checks=checks)
