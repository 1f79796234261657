"""Adaptive concurrency beside fixed ones, over links that are played on this machine.

Twelve profiles: milliseconds of latency, MB/s of each connection, MB/s of all, and how many
requests at once are answered with 429. Server and client are processes of their own.

`--scale 4` divides rates and part size by four: the same links as to time, in a quarter of the
bytes, for machines that can't move 640 MB/s beside hashing them.

usage: python -m benchmarks.links [--quick] [--scale N] [--seconds S] [--only N ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

MB = 1_000_000
MIB = 1024 * 1024
PART = 16 * MIB
PROFILES = (
    (5, 5, None, None),
    (5, 20, None, None),
    (50, 5, None, None),
    (50, 20, None, None),
    (200, 5, None, None),
    (50, 100, 400, None),
    (200, 100, 300, None),
    (50, 20, 200, None),
    (200, 20, 100, None),
    (5, 100, 150, None),
    (50, 20, None, 6),
    (200, 20, None, 12),
)
FIXED = (1, 2, 4, 8, 16, 32)
CEILING = 32
HOPELESS = 1.9
"""A fixed concurrency that can't be done in so many times the best time isn't run."""

TICK = 0.005
LATE = 0.25
"""Seconds that a busy machine may keep the server from playing the link, and it catches up."""

RECEIVE_BUFFER = 64 * 1024
ANSWERS = (
    (b"/commit ", b'{"dataFileId":"401","revisionId":"430"}'),
    (b"/multipart ", b'{"sessionId":"1"}'),
    (b"/permissions ", b'{"publicAccess":false,"entries":[]}'),
    (b"", b'{"dataFileId":401}'),
)


class Link:
    """The link: who sends now, and what each may send in the next moment."""

    def __init__(self, latency: float, each: float, total: float | None, most: int | None) -> None:
        self.latency = latency
        self.each = each
        self.total = math.inf if total is None else total
        self.most = math.inf if most is None else most
        self.senders: set[Connection] = set()

    async def run(self) -> None:
        """Hand out bytes."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            span, before = min(now - before, LATE), now
            if self.senders:
                rate = min(self.each, self.total / len(self.senders))
                for sender in list(self.senders):
                    sender.allow(rate * span)


class Connection(asyncio.BufferedProtocol):
    """One connection to the server: takes requests as fast as the link gives them."""

    scratch = bytearray(MIB)

    def __init__(self, link: Link) -> None:
        self.link = link
        self.allowance = 0.0
        self.head = b""
        self.left = 0
        self.early = 0
        self.target = b""
        self.is_body = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.link.senders.discard(self)

    def get_buffer(self, _: int) -> memoryview:
        size = max(1, min(self.left, int(self.allowance))) if self.is_body else 64 * 1024
        return memoryview(self.scratch)[: min(size, len(self.scratch))]

    def buffer_updated(self, count: int) -> None:
        if self.is_body:
            self.take(count)
            return
        self.head += bytes(memoryview(self.scratch)[:count])
        head, end, rest = self.head.partition(b"\r\n\r\n")
        if end:
            self.head = b""
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            self.left = int(length[1]) if length else 0
            self.early = len(rest)
            self.target = head.split(b" ", 2)[1].partition(b"?")[0] + b" "
            self.transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(self.link.latency / 2, self.begin)

    def begin(self) -> None:
        if b"/part/" not in self.target:
            self.left -= self.early
            self.is_body, self.allowance = self.left > 0, math.inf
            self.transport.resume_reading()
            if not self.is_body:
                self.answer_later()
        elif len(self.link.senders) >= self.link.most:
            self.target = b"refused"
            self.answer_later()
        else:
            self.is_body, self.allowance = True, 0.0
            self.link.senders.add(self)
            self.take(self.early)

    def allow(self, size: float) -> None:
        """Take so many bytes more."""
        self.allowance = min(self.allowance + size, self.link.each * LATE)
        if self.allowance >= 1:
            self.transport.resume_reading()

    def take(self, count: int) -> None:
        self.left -= count
        self.allowance -= count
        if self.left <= 0:
            self.is_body = False
            self.link.senders.discard(self)
            self.transport.resume_reading()
            self.answer_later()
        elif self.allowance < 1:
            self.transport.pause_reading()

    def answer_later(self) -> None:
        asyncio.get_running_loop().call_later(self.link.latency / 2, self.answer)

    def answer(self) -> None:
        if self.target == b"refused":
            self.transport.write(
                b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            self.transport.close()
            return
        body = next(body for part, body in ANSWERS if part in self.target)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)


async def serve(profile: list[float]) -> None:
    """Play a profile until the end; print the port."""
    import socket

    latency, each, total, most = profile
    link = Link(latency, each, total, None if most is None else int(most))
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    listening.bind(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(link), sock=listening)
    print(listening.getsockname()[1], flush=True)
    async with server, asyncio.timeout(3600):
        await link.run()


async def upload(url: str, path: str, part_size: int, fixed: int | None) -> None:
    """Upload once; print seconds, attempts beyond the first, and how far the limit went."""
    from domo_files_async import DeveloperToken, DomoFilesSession, PartRetried, TransferConfig

    retried = 0

    def observe(event: object) -> None:
        nonlocal retried
        retried += isinstance(event, PartRetried)

    config = (
        TransferConfig() if fixed is None else TransferConfig(max_concurrency=fixed, adaptive=False)
    )
    async with DomoFilesSession(
        url, auth=DeveloperToken("x"), transfer=config, observer=observe
    ) as domo:
        result = await domo.upload(path, part_size=part_size)
    print(json.dumps({"seconds": result.elapsed, "retried": retried}))


def best_rate(profile: tuple[float | None, ...], at_once: int) -> float:
    """Say what so many at once could get at best, in bytes a second."""
    _, each, total, most = profile
    assert each is not None
    return min(each * min(at_once, most or math.inf), total or math.inf) * MB


def measure(
    profile: tuple[float | None, ...], path: pathlib.Path, size: int, scale: int, who: int | None
) -> dict[str, float] | None:
    """Play the link to one upload; `None` when the upload failed."""
    latency, each, total, most = profile
    assert latency is not None
    assert each is not None
    rates = [latency / 1000, each * MB / scale, total and total * MB / scale, most]
    me = [sys.executable, "-m", "benchmarks.links"]
    with subprocess.Popen([*me, "--serve", json.dumps(rates)], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            with path.open("wb") as sparse:
                sparse.truncate(size)
            job = json.dumps([url, str(path), PART // scale, who])
            done = subprocess.run(
                [*me, "--upload", job], check=False, capture_output=True, text=True, timeout=900
            )
        finally:
            server.terminate()
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def compare(
    profile: tuple[float | None, ...], folder: pathlib.Path, asked: argparse.Namespace
) -> dict[str, object]:
    """Run the adaptive one and all fixed ones that may be the best, interleaved."""
    best = best_rate(profile, CEILING)
    part = PART // asked.scale
    size = max(8, round(best / asked.scale * asked.seconds / part)) * part
    most = profile[3]
    fixed = sorted({*FIXED, *([int(most)] if most else [])})
    fixed = [n for n in fixed if best / best_rate(profile, n) <= HOPELESS]
    times: dict[str, list[float]] = {}
    retried = []
    for _ in range(asked.repeats):
        for who in (None, *fixed):
            figures = measure(profile, folder / "sparse", size, asked.scale, who)
            seconds = math.inf if figures is None else figures["seconds"]
            times.setdefault("adaptive" if who is None else str(who), []).append(seconds)
            if who is None and figures is not None:
                retried.append(figures["retried"])
    medians = {who: statistics.median(seconds) for who, seconds in times.items()}
    winner = min((who for who in medians if who != "adaptive"), key=lambda who: medians[who])
    shown = " ".join("-" if value is None else str(value) for value in profile)
    share = medians[winner] / medians["adaptive"]
    rates = "  ".join(f"{who}: {size / MB / seconds:.0f}" for who, seconds in medians.items())
    print(f"{shown:16} {size / MIB:6.0f} MiB  {share:.2f} of {winner:2}   MB/s {rates}", flush=True)
    return {
        "profile": shown,
        "bytes": size,
        "seconds": times,
        "share": share,
        "best fixed": int(winner),
        "retried": retried,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short runs, scaled down")
    parser.add_argument("--scale", type=int, default=1, help="divides rates and part size")
    parser.add_argument("--seconds", type=float, default=25, help="of the best run")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of profiles, from 1")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--upload", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve(json.loads(asked.serve)))
        return
    if asked.upload:
        asyncio.run(upload(*json.loads(asked.upload)))
        return
    if asked.quick:
        asked.scale, asked.seconds = 4, 8
    numbers = asked.only or range(1, len(PROFILES) + 1)
    print("ms · MB/s each · MB/s in all · 429 above; rates and parts divided by", asked.scale)
    with tempfile.TemporaryDirectory() as folder:
        results = [compare(PROFILES[number - 1], pathlib.Path(folder), asked) for number in numbers]
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
