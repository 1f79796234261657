"""The peak of memory above the idle imported process, for whatever is asked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.bench import Check, Result, run
from benchmarks.files import make_sparse_file
from benchmarks.jobs import MIB, Job
from benchmarks.servers import running_sink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench

BUDGET, BESIDE = 64, 16
WHO = "ours.uploads"
PART_SIZES = (10, 16, 25, 40, 64, 100)
CONCURRENCY = (1, 2, 4, 8, 16, 32)
UPLOADS = (1, 3, 10, 30, 100)
SIZE = 2048 * MIB


def measure(bench: Bench) -> Result:
    figures: dict[str, list[dict[str, Any]]] = {}
    print("\nPeak memory above the idle imported process, MiB")
    for protocol, tls in (("plain HTTP", None), ("TLS", bench.tls)):
        with running_sink(bench.native, tls=tls) as sink:
            for series, x, options in _cells(bench):
                size = SIZE // options.get("at_once", 1)
                path = make_sparse_file(bench.folder, max(size, 40 * MIB))
                job = Job(
                    who=WHO,
                    url=sink.url,
                    path=str(path),
                    certificates=sink.certificates,
                    options=options,
                )
                peak = round(run(job).memory / MIB, 1)
                figures.setdefault(f"{series}, {protocol}", []).append({"x": x, "MiB": peak})
                print(f"{series}, {protocol}: {x:4} {peak:8.1f}")
    worst = max((cell["MiB"], series, cell["x"]) for series in figures for cell in figures[series])
    check = Check(
        f"at most the budget of {BUDGET} MiB and {BESIDE} MiB beside it",
        f"{worst[0]:.1f} MiB at most ({worst[1]}: {worst[2]})",
        worst[0] <= BUDGET + BESIDE,
    )
    return Result(figures=figures, checks=[check])


def _cells(bench: Bench) -> Iterator[tuple[str, int, dict[str, Any]]]:
    def some(values: tuple[int, ...]) -> tuple[int, ...]:
        return (values[0], values[-1]) if bench.is_quick else values

    for at_once in some(CONCURRENCY):
        fixed = {"max_concurrency": at_once, "adaptive": False}
        yield "stream by concurrency", at_once, {"config": fixed, "bytes": SIZE}
        yield "path by concurrency", at_once, {"config": fixed}
    for size in some(PART_SIZES):
        for at_once in (4, 32):
            fixed = {"max_concurrency": at_once, "adaptive": False}
            options = {"config": fixed, "part_size": size * 1_000_000}
            yield f"path by part size in MB, {at_once} at once", size, options
    for count in some(UPLOADS):
        yield "paths by uploads at once", count, {"at_once": count}
        size = max(SIZE // count, 40 * MIB)
        yield "streams by uploads at once", count, {"at_once": count, "bytes": size}
