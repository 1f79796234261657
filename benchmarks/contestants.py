"""Who is measured: each uploads one file to a sink, in a process of its own, and prints figures."""

import asyncio
import hashlib
import json
import math
import os
import resource
import sys
import time

MIB = 1024 * 1024


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def forget_peak():
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")


async def tick(stalls):
    loop = asyncio.get_running_loop()
    while True:
        before = loop.time()
        await asyncio.sleep(0.001)
        stalls.append(loop.time() - before - 0.001)


async def ours(url, path, options):
    from domo_files_async import DeveloperToken, DomoFilesSession, TransferConfig

    config = TransferConfig(**options.get("config", {}))
    async with DomoFilesSession(url, auth=DeveloperToken("x"), transfer=config) as domo:
        yield
        await domo.upload(path, part_size=options["part_size"])
    yield


async def plain(url, path, options):
    """What people write: aiohttp, aiofiles, gather behind a semaphore."""
    import aiofiles
    import aiohttp

    base = f"{url}/api/data/v1/data-files/multipart"
    part_size = options["part_size"]
    headers = {"X-DOMO-Developer-Token": "x"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield
        async with session.post(base, json={"name": "x", "contentType": "x/y"}) as reply:
            session_id = (await reply.json())["sessionId"]
        at_once = asyncio.Semaphore(8)

        async def send(index):
            async with at_once:
                async with aiofiles.open(path, "rb") as file:
                    await file.seek((index - 1) * part_size)
                    data = await file.read(part_size)
                checksum = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
                url = f"{base}/{session_id}/part/{index}?checksum={checksum}"
                async with session.put(url, data=data) as reply:
                    await reply.read()

        count = math.ceil(os.path.getsize(path) / part_size)
        await asyncio.gather(*(send(index) for index in range(1, count + 1)))
        async with session.post(f"{base}/{session_id}/commit") as reply:
            await reply.json()
    yield


async def measure(who, url, path, options):
    stalls = []
    run = {"ours": ours, "plain": plain}[who](url, path, options)
    await anext(run)
    forget_peak()
    idle, cpu, began = peak(), time.process_time(), time.perf_counter()
    ticker = asyncio.create_task(tick(stalls))
    await anext(run)
    seconds = time.perf_counter() - began
    ticker.cancel()
    size = os.path.getsize(path)
    figures = {
        "MiB/s": size / MIB / seconds,
        "CPU s": time.process_time() - cpu,
        "memory MiB": (peak() - idle) / MIB,
        "longest stall ms": max(stalls, default=0) * 1000,
        "whole CPU s": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])))
