"""One large file to the disk, verified, beside the plain way and beside curl with sha256sum."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.bench import Check, Result, Spread, installed, interleave, ratios, summary, table
from benchmarks.files import make_file, touch_memory
from benchmarks.jobs import MIB, Job
from benchmarks.servers import running_sink

if TYPE_CHECKING:
    from benchmarks.bench import Bench
    from benchmarks.servers import Tls

BY_EXTRA = "download.pyopenssl"
OURS, PLAIN_WAY, CURL = "download.ours", "download.aiohttp", "download.curl"
OTHERS = ("download.httpx", "download.requests")
OF_PLAIN_WAY = 3.0
MEMORY_DISK = pathlib.Path("/dev/shm")


def measure(bench: Bench) -> Result:
    if bench.native is None:
        print("The server in Python would be what is measured: no downloads without a compiler")
        return Result(figures={}, checks=[])
    figures, checks = {}, []
    cells = [("plain HTTP", None, bench.folder), ("TLS", bench.tls, bench.folder)]
    if MEMORY_DISK.is_dir():
        cells.append(("plain HTTP, memory as disk", None, MEMORY_DISK))
    for name, tls, place in cells:
        figures[name], found = _measure(bench, name, tls, place)
        checks += found
    return Result(figures=figures, checks=checks)


def _measure(
    bench: Bench, name: str, tls: Tls | None, place: pathlib.Path
) -> tuple[dict[str, Any], list[Check]]:
    size = 1024 * MIB
    who = [OURS, *installed([BY_EXTRA] if tls else []), PLAIN_WAY]
    if shutil.which("curl") and shutil.which("sha256sum"):
        who.append(CURL)
    if not bench.is_quick:
        who += installed(OTHERS)
    with (
        tempfile.TemporaryDirectory(dir=place) as folder,
        running_sink(bench.native, tls=tls, file=make_file(bench.folder, size)) as sink,
    ):
        destination = pathlib.Path(folder) / "downloaded"

        def clear(job: Job) -> None:
            found = destination.stat().st_size
            if found != size:
                raise RuntimeError(f"{job.who} got {found} bytes rather than {size}")
            destination.unlink()
            touch_memory(pathlib.Path(folder), size)
            os.sync()  # what one has left to write isn't the next one's burden

        jobs = [
            Job(who=one, url=sink.url, path=str(destination), certificates=sink.certificates)
            for one in who
        ]
        runs = interleave(jobs, bench.repeats, after=clear)
    rows = {one: summary(of_one, size / 1e6, "MB/s") for one, of_one in runs.items()}
    print(f"\n1 GiB to the disk, verified, {name}, {bench.repeats} interleaved runs")
    print(table(rows))
    checks = [_faster(name, PLAIN_WAY, ratios(runs, OURS, PLAIN_WAY), OF_PLAIN_WAY)]
    if BY_EXTRA in runs:
        extra = f"{name} by the extra"
        checks.append(_faster(extra, PLAIN_WAY, ratios(runs, BY_EXTRA, PLAIN_WAY), OF_PLAIN_WAY))
    if CURL in runs:
        checks.append(_faster(name, CURL, ratios(runs, OURS, CURL), 1.0))
    return {"who": rows}, checks


def _faster(name: str, who: str, found: Spread, wanted: float) -> Check:
    promise = f"{name}: at least {wanted:g} times the rate of {who}"
    return Check(promise, str(found), found.median >= wanted)
