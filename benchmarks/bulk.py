"""A job of many files of mixed sizes, beside a plain loop; and how much memory they take.

usage: python benchmarks/bulk.py [--files 20000] [--manifest LINES] [--large N]

The server is the emulator in a process of its own, in memory, or with --sink one that throws all
away. For 100,000 files with some of 1 GiB: `--files 100000 --large 4 --sink`.
"""

import argparse
import asyncio
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
GIB = 1024**3
AT_ONCE = 32
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
        with (folder / f"large{number}.bin").open("wb") as file:
            file.truncate(GIB)


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

        paths = [path for path in folder.rglob("*") if path.is_file()]
        await asyncio.gather(*map(send, paths))
        seconds = time.perf_counter() - began
    return len(paths), seconds, {}


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
    run = {"job": job, "loop": loop, "plan": plan}[who]
    idle = peak()
    files, seconds, more = asyncio.run(run(url, token, pathlib.Path(folder)))
    cpu = time.process_time()
    figures = {"files": files, "seconds": seconds, "files/s": files / seconds, "CPU s": cpu}
    print(json.dumps({**figures, "peak MiB": peak(), "of it before": idle, **more}))


def run(who, *words):
    command = [sys.executable, __file__, "--who", who, *map(str, words)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600)
    figures = json.loads(done.stdout)
    print(f"{who:5}", ", ".join(f"{name} {value:,.1f}" for name, value in figures.items()))


def serve(sink):
    if sink:
        server = subprocess.Popen([sys.executable, HERE / "sink.py"], stdout=subprocess.PIPE)
        return server, f"http://127.0.0.1:{int(server.stdout.readline())}", "x"
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    url, token = server.stdout.readline().decode().split()
    return server, url, token


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
        for who in ("loop", "job") if asked.files else ():
            if who == "loop" and asked.large:
                continue  # it sends a file as one body, which no server takes for 1 GiB
            server, url, token = serve(asked.sink)
            try:
                run(who, url, token, data)
            finally:
                server.terminate()
                server.wait()
        if asked.manifest:
            lines = pathlib.Path(folder) / "lines.csv"
            with lines.open("w") as file:
                file.write("source,name\n")
                file.writelines(f"data/{n}.bin,file {n}\n" for n in range(asked.manifest))
            run("plan", "-", "-", lines)


if __name__ == "__main__":
    main()
