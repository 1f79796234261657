"""One large file in 16 MiB parts over loopback, beside the machine's limit and other clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.bench import Check, Result, installed, interleave, ratios, run, summary, table
from benchmarks.files import make_file
from benchmarks.jobs import MIB, Figures, Job
from benchmarks.servers import Tls, running_sink

if TYPE_CHECKING:
    from benchmarks.bench import Bench

OURS, NATIVE = "upload.ours", "upload.native"
BY_EXTRA = "upload.pyopenssl"
"""The same with TLS by the extra, as obstore brings a library of its own for it, too."""

PEERS = tuple(f"upload.{n}" for n in ("aiohttp", "httpx", "requests", "boto3", "obstore"))
PLAIN_WAY = PEERS[0]
OF_NATIVE, CPU_OF_NATIVE, STALL = 0.85, 1.25, 5.0


def measure(bench: Bench) -> Result:
    figures, checks = {}, []
    for name, tls in (("plain HTTP", None), ("TLS", bench.tls)):
        figures[name], found = _measure(bench, name, tls)
        checks += found
    return Result(figures=figures, checks=checks)


def _measure(bench: Bench, name: str, tls: Tls | None) -> tuple[dict[str, Any], list[Check]]:
    size = 1024 * MIB
    path = make_file(bench.folder, size)
    peers = installed(PEERS[:1] if bench.is_quick else PEERS)
    ours = [OURS, *installed([BY_EXTRA] if tls else [])]
    who = [*ours, *([NATIVE] if bench.native else []), *peers]
    _verify(bench, tls, who)
    with running_sink(bench.native, tls=tls) as sink:
        jobs = [
            Job(
                who=one,
                url=sink.url,
                path=str(path),
                certificates=sink.certificates,
                client=bench.client,
            )
            for one in who
        ]
        taken = sink.taken()["bytes"]

        def all_came(job: Job) -> None:
            nonlocal taken
            before, taken = taken, sink.taken()["bytes"]
            if taken - before != size:
                raise RuntimeError(f"{job.who} sent {taken - before} bytes rather than {size}")

        found = interleave(jobs, bench.repeats, after=all_came)
    rows = {one: summary(runs, size / 1e6, "MB/s") for one, runs in found.items()}
    print(f"\n1 GiB in parts of 16 MiB, {name}, {bench.repeats} interleaved runs")
    print(table(rows))
    against = {
        one: ratios(found, one, NATIVE).__dict__ for one in who if bench.native and one != NATIVE
    }
    checks = _checks(bench, name, found, OURS)
    if BY_EXTRA in found:
        checks += _checks(bench, f"{name} by the extra", found, BY_EXTRA)
    return {"who": rows, "of native": against}, checks


def _verify(bench: Bench, tls: Tls | None, who: list[str]) -> None:
    """Let each contestant run once against a server that hashes: what it measures is the work."""
    size = 40 * MIB + 1
    path = make_file(bench.folder, size)
    for one in who:
        with running_sink(bench.native, tls=tls, verify=True) as sink:
            run(
                Job(
                    who=one,
                    url=sink.url,
                    path=str(path),
                    certificates=sink.certificates,
                    client=bench.client,
                )
            )
            taken = sink.taken()
        # Amazon's client sends its checksums behind the bodies over TLS, where none looks at them.
        is_checked = taken["checked"] == 3 or (tls is not None and one == "upload.boto3")
        if taken["wrong"] or taken["bytes"] != size or not is_checked:
            raise RuntimeError(f"{one} sent something wrong: {taken}")


def _checks(bench: Bench, name: str, found: dict[str, list[Figures]], who: str) -> list[Check]:
    checks = []
    for peer in found:
        if peer not in {OURS, BY_EXTRA, NATIVE}:
            ahead = ratios(found, who, peer)
            checks.append(
                Check(f"{name}: ahead of {peer}", f"{ahead} times its rate", ahead.median > 1)
            )
    if not bench.native:
        return checks
    rate = ratios(found, who, NATIVE)
    ours, native = (summary(found[one], 1, "1/s") for one in (who, NATIVE))
    cpu = ours["CPU s"]["median"] / native["CPU s"]["median"]
    stalls = [one["longest stall ms"]["median"] for one in (ours, native)]
    shares = [one["stall p99.9 ms"] for one in (ours, native)]
    return [
        Check(
            f"{name}: at least {OF_NATIVE} of the native client's rate in the median",
            str(rate),
            rate.median >= OF_NATIVE,
        ),
        Check(
            f"{name}: CPU of the transfer at most {CPU_OF_NATIVE} times the native client's",
            f"{cpu:.2f}",
            cpu <= CPU_OF_NATIVE,
        ),
        Check(
            f"{name}: longest stall within {STALL:g} ms of the ticker's beside the native client",
            f"{stalls[0]:.1f} ms beside {stalls[1]:.1f} ms",
            stalls[0] <= stalls[1] + STALL,
        ),
        Check(
            f"{name}: 99.9th percentile of the stalls within {STALL:g} ms of the same",
            f"{shares[0]:.1f} ms beside {shares[1]:.1f} ms",
            shares[0] <= shares[1] + STALL,
        ),
        *checks,
    ]
