"""A job of many files of mixed sizes, beside what people write; and how much memory they take.

usage: python -m benchmarks.bulk [--files 20000] [--large N] [--manifest LINES] [--sink]

The server is the emulator in a process of its own, in memory; with --sink it is one in C, or in
Python where there is no compiler, that answers all and keeps nothing, so that the client's own
speed shows. The large files are the job's alone: the others send a file as one body, which no
server takes for 1 GiB.
"""

import argparse
import asyncio
import contextlib
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks import servers

GIB = 1024**3
AT_ONCE = 32
LARGE = "large"
SERVER = """
import asyncio
from domo_files_async.emulator import Emulator

async def main():
    async with Emulator() as emulator:
        print(emulator.url, emulator.credential("ada"), flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return next(int(x.split()[1]) / 1024 for x in status.splitlines() if x.startswith("VmHWM"))


def fill(folder, files, large):
    chance = random.Random(1)
    for number in range(files):
        place = folder / f"{number // 1000:04}"
        place.mkdir(exist_ok=True)
        # Most are small: half below 2 KiB, one in a hundred above 100 KiB.
        size = min(400_000, int(chance.lognormvariate(7.6, 1.7)))
        (place / f"{number}.bin").write_bytes(chance.randbytes(size))
    for number in range(large):
        with (folder / f"{LARGE}{number}.bin").open("wb") as file:
            file.truncate(GIB)


def small_files(folder):
    return [one for one in folder.rglob("*.bin") if not one.name.startswith(LARGE)]


async def job(url, token, folder):
    from domo_files_async import DeveloperToken, DomoFilesSession, bulk

    place = folder.parent / "job.sqlite"
    async with DomoFilesSession(url, auth=DeveloperToken(token)) as domo, bulk.Job(place) as one:
        began = time.perf_counter()
        adding = asyncio.create_task(one.add(bulk.from_directory(folder)))
        await asyncio.sleep(0)
        done = 0
        async for outcome in one.run(domo):
            assert outcome.status == "uploaded", outcome
            done += 1
        await adding
        seconds = time.perf_counter() - began
    return done, seconds, {"journal MiB": place.stat().st_size / 1024**2}


async def loop(url, token, folder):
    """What people write: aiohttp and a semaphore; no journal, no checks."""
    import aiohttp

    at_once = asyncio.Semaphore(AT_ONCE)
    address = f"{url}/api/data/v1/data-files"
    headers = {"X-DOMO-Developer-Token": token}
    async with aiohttp.ClientSession(headers=headers) as session:
        began = time.perf_counter()

        async def send(path):
            async with at_once:
                with path.open("rb") as file:
                    form = aiohttp.FormData()
                    form.add_field("file", file, filename=path.name)
                    query = {"name": path.name, "public": "false"}
                    async with session.post(address, params=query, data=form) as reply:
                        assert reply.status == 200, await reply.text()
                        await reply.json()

        paths = small_files(folder)
        await asyncio.gather(*map(send, paths))
        seconds = time.perf_counter() - began
    return len(paths), seconds, {}


async def threads(url, token, folder):
    """Threads with requests, a session each."""
    import threading

    import requests

    address = f"{url}/api/data/v1/data-files"
    mine = threading.local()

    def send(path):
        if not hasattr(mine, "session"):
            mine.session = requests.Session()
            mine.session.headers["X-DOMO-Developer-Token"] = token
        query = {"name": path.name, "public": "false"}
        with path.open("rb") as file:
            reply = mine.session.post(address, params=query, files={"file": (path.name, file)})
        reply.raise_for_status()
        reply.json()

    began = time.perf_counter()
    paths = small_files(folder)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(send, paths):
            pass
    return len(paths), time.perf_counter() - began, {}


async def plan(_url, _token, folder):
    from domo_files_async import bulk

    began = time.perf_counter()
    async with bulk.Job(folder.parent / "plan.sqlite") as one:
        await one.add(bulk.from_manifest(folder))
        planned = 0
        async for _ in one.plan():
            planned += 1
    return planned, time.perf_counter() - began, {}


def measure(who, url, token, folder):
    run = {"job": job, "loop": loop, "threads": threads, "plan": plan}[who]
    idle = peak()
    files, seconds, more = asyncio.run(run(url, token, pathlib.Path(folder)))
    cpu = time.process_time()
    figures = {"files": files, "seconds": seconds, "files/s": files / seconds, "CPU s": cpu}
    print(json.dumps({**figures, "peak MiB": peak(), "of it before": idle, **more}))


def run(who, *words):
    command = [sys.executable, "-m", "benchmarks.bulk", "--who", who, *map(str, words)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=7200)
    figures = json.loads(done.stdout)
    print(f"{who:7}", ", ".join(f"{name} {value:,.1f}" for name, value in figures.items()))


@contextlib.contextmanager
def running_emulator():
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
        try:
            url, token = server.stdout.readline().decode().split()
            yield url, token
        finally:
            server.terminate()


@contextlib.contextmanager
def running_sink(folder):
    with servers.running_sink(servers.build(folder)) as sink:
        yield sink.url, "any"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=0, help="sparse files of 1 GiB besides")
    parser.add_argument("--manifest", type=int, default=0, help="lines of a manifest to plan")
    parser.add_argument("--sink", action="store_true")
    parser.add_argument("--who")
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    if asked.who:
        measure(asked.who, *asked.words)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "data"
        data.mkdir()
        fill(data, asked.files, asked.large)
        for who in ("loop", "threads", "job") if asked.files or asked.large else ():
            with running_sink(data.parent) if asked.sink else running_emulator() as (url, token):
                run(who, url, token, data)
        if asked.manifest:
            lines = pathlib.Path(folder) / "lines.csv"
            with lines.open("w") as file:
                file.write("source,name\n")
                file.writelines(f"data/{n}.bin,file {n}\n" for n in range(asked.manifest))
            run("plan", "-", "-", lines)


if __name__ == "__main__":
    main()
