"""Many uploads at once through the FastAPI example, a health check beside them, and quitters.

The application runs on uvicorn in a process of its own; so do what stands in for Domo, which
takes multipart uploads and keeps nothing of them but sizes and CRC-32s, the clients, and whoever
asks for GET /health. Memory is the application's VmHWM, so this runs on Linux only.

What a health check waits for is a turn of the application's loop. Each is timed in three ways: from
its beginning to its end; the same without the time in which the system gave the core to another
process, which is what the application can do something about; and in seconds of a core.

usage: python benchmarks/fastapi_load.py [--uploads N] [--size MB] [--quitters N] [--json FILE]
"""

import argparse
import array
import asyncio
import contextlib
import functools
import json
import os
import pathlib
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
import zlib

import uvicorn

ROOT = pathlib.Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "fastapi_app"
MB = 1_000_000
INTERVAL = 0.02
POLYNOMIAL = 0xEDB88320


def multiplied(a, b):
    """Multiply two polynomials modulo CRC-32's, bits reflected."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ POLYNOMIAL if b & 1 else b >> 1
    return product


@functools.cache
def shift(size):
    """Give x to the power of 8 * size."""
    result, power = 1 << 31, 1 << 23
    while size:
        if size & 1:
            result = multiplied(power, result)
        power = multiplied(power, power)
        size >>= 1
    return result


class Domo(asyncio.BufferedProtocol):
    """Takes multipart uploads; GET /files gives what was committed, and what is still open."""

    buffer = bytearray(1024 * 1024)
    sessions, files, connections = {}, {}, 0

    def connection_made(self, transport):
        Domo.connections += 1
        self.transport = transport
        self.head, self.left = b"", 0

    def connection_lost(self, _):
        Domo.connections -= 1

    def get_buffer(self, _):
        return self.buffer

    def buffer_updated(self, count):
        data = memoryview(self.buffer)[:count]
        while data:
            if self.left:
                data = self.take(data)
            else:
                self.head += bytes(data)
                head, end, rest = self.head.partition(b"\r\n\r\n")
                if not end:
                    return
                self.method, target = head.split(b" ", 2)[:2]
                self.path = target.partition(b"?")[0].decode().split("/")
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                self.head, self.body, self.size, self.crc = b"", b"", 0, 0
                self.left = int(length[1]) if length else 0
                data = self.take(memoryview(rest))
            if not self.left:
                answer = json.dumps(self.answer()).encode()
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                self.transport.write(
                    b"%sContent-Length: %d\r\n\r\n%s" % (head, len(answer), answer)
                )

    def take(self, data):
        taken = data[: self.left]
        self.left -= len(taken)
        self.size += len(taken)
        if "part" in self.path:
            self.crc = zlib.crc32(taken, self.crc)
        else:
            self.body += taken
        return data[len(taken) :]

    def answer(self):
        match self.path[-1], self.path[-2:]:
            case "multipart", _:
                number = str(len(Domo.sessions) + len(Domo.files) + 1)
                while number in Domo.sessions:
                    number += "0"
                Domo.sessions[number] = (json.loads(self.body)["name"], {})
                return {"sessionId": number}
            # The parts of who has left may come after the abort.
            case index, ["part", _] if self.path[-3] in Domo.sessions:
                Domo.sessions[self.path[-3]][1][int(index)] = self.size, self.crc
            case "commit", [session_id, _]:
                name, parts = Domo.sessions.pop(session_id)
                size = crc = 0
                for one_size, one_crc in (parts[index] for index in range(1, len(parts) + 1)):
                    size, crc = size + one_size, multiplied(shift(one_size), crc) ^ one_crc
                Domo.files[name] = size, crc, len(parts)
                return {"dataFileId": str(len(Domo.files)), "revisionId": str(len(Domo.files))}
            case "abort", [session_id, _]:
                del Domo.sessions[session_id]
            case "permissions", _:
                return {"publicAccess": False, "entries": []}
            case "files", _:
                sockets = Domo.connections
                return {"files": Domo.files, "open": len(Domo.sessions), "connections": sockets}
        return {}


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Domo, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with asyncio.timeout(3600):
        await server.serve_forever()


def timed(loop):
    """Have each turn of a loop timed; give the milliseconds, and how many callbacks it ran."""
    turns = {name: array.array("d") for name in ("wall", "own", "cpu", "callbacks")}
    # What this thread ran and what it waited for a core, in nanoseconds; Linux only.
    waits = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    selector = loop._selector  # noqa: SLF001 - nothing else shows where a turn begins and ends
    real = selector.select

    def now():
        waited = int(os.pread(waits, 64, 0).split()[1])
        return time.perf_counter_ns(), waited, time.thread_time_ns()

    began, callbacks = now(), 0

    def select(timeout):
        nonlocal began, callbacks
        wall, waited, cpu = ((end - start) / 1e6 for start, end in zip(began, now(), strict=True))
        for name, value in (
            ("wall", wall),
            ("own", wall - waited),
            ("cpu", cpu),
            ("callbacks", callbacks),
        ):
            turns[name].append(value)
        ready = real(timeout)
        began, callbacks = now(), len(loop._ready) + len(ready)  # noqa: SLF001 - the same
        return ready

    selector.select = select
    return turns


async def run_app(port, http):
    loop = asyncio.get_running_loop()
    sys.path.insert(0, str(EXAMPLE))
    options = {"port": port, "http": http, "access_log": False, "log_level": "warning"}
    server = uvicorn.Server(uvicorn.Config("main:app", **options))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    turns = timed(loop)

    def tell():
        # The first began before it was timed.
        told = {name: figures(list(values)[1:]) for name, values in turns.items()}
        print(json.dumps(told), flush=True)

    loop.add_signal_handler(signal.SIGUSR1, tell)
    await serving


async def ask_health(port, seconds):
    """Ask every 20 ms on one connection until told to stop; print milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stop = asyncio.get_running_loop().time() + seconds
    waited = []
    while time.monotonic() < stop and not (pathlib.Path(sys.argv[-1]).exists()):
        began = time.monotonic()
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)[1]))
        waited.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(max(0, INTERVAL - (time.monotonic() - began)))
    writer.close()
    print(json.dumps(waited))


async def load(port, count, size, quitters, spread):
    """Send *count* files at once, and begin *quitters* more that leave in the middle."""
    loop = asyncio.get_running_loop()
    base = memoryview(os.urandom(size + count))
    begun = asyncio.Barrier(count)

    async def connect(name, announced):
        sock = socket.socket()
        # A thousand senders with megabytes in the kernel each would exhaust its memory for TCP.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        sock.setblocking(False)  # noqa: FBT003 - the socket's own way
        await loop.sock_connect(sock, ("127.0.0.1", port))
        head = f"PUT /files/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n"
        await loop.sock_sendall(sock, f"{head}Connection: close\r\n\r\n".encode())
        return sock

    async def upload(number):
        await asyncio.sleep(spread * number / count)
        with await connect(f"file-{number}", size) as sock:
            # All have begun before any may end.
            await loop.sock_sendall(sock, base[number : number + size // 10])
            await begun.wait()
            # Released by one event, but not in one instant: no thousand browsers go on like that.
            await asyncio.sleep(spread * number / count)
            began = loop.time()
            await loop.sock_sendall(sock, base[number + size // 10 : number + size])
            answer = b""
            while more := await loop.sock_recv(sock, 65536):
                answer += more
            return answer.split(b" ", 2)[1].decode(), loop.time() - began

    async def quit_early(number):
        with await connect(f"quitter-{number}", size) as sock:
            await loop.sock_sendall(sock, base[: size // 2])

    began = loop.time()
    async with asyncio.timeout(1200):
        done = await asyncio.gather(*map(upload, range(count)))
        seconds = loop.time() - began
        pathlib.Path(sys.argv[-1]).touch()
        await asyncio.gather(*map(quit_early, range(quitters)))
    statuses = {status: sum(one == status for one, _ in done) for status in {s for s, _ in done}}
    crcs = {f"file-{one}": zlib.crc32(base[one : one + size]) for one in range(count)}
    print(json.dumps({"seconds": seconds, "statuses": statuses, "crcs": crcs}))


def run(role, *arguments):
    command = [sys.executable, __file__, "--role", role, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def finish(process):
    out, _ = process.communicate(timeout=1800)
    if process.returncode:
        raise SystemExit(f"{process.args} failed")
    return json.loads(out)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def memory(pid, what):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+)", status)[1]) / 1024


def sockets(pid):
    links = pathlib.Path(f"/proc/{pid}/fd").iterdir()
    found = 0
    for link in links:
        with contextlib.suppress(OSError):
            found += link.readlink().name.startswith("socket:")
    return found


def wait_for(condition, seconds):
    stop = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < stop:
        time.sleep(0.1)
    return value


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def is_up(port):
    with contextlib.suppress(OSError):
        return get(f"http://127.0.0.1:{port}/health")


def figures(values):
    ranked = sorted(values)
    return {
        "count": len(ranked),
        "median": statistics.median(ranked),
        "p99": ranked[int(len(ranked) * 0.99)],
        "p99.9": ranked[int(len(ranked) * 0.999)],
        "max": ranked[-1],
    }


def measure(asked, domo, app, port, idle_port, folder):
    target = f"http://127.0.0.1:{domo}/files"
    if not wait_for(lambda: is_up(port) and is_up(idle_port), 30):
        raise SystemExit("The application doesn't start")
    time.sleep(1)
    idle, before = memory(app.pid, "VmRSS"), sockets(app.pid)
    alone = finish(run("health", port, 10, folder / "never"))
    flag = folder / f"done-{os.getpid()}"
    health, control = run("health", port, 3600, flag), run("health", idle_port, 3600, flag)
    sent = finish(
        run("load", port, asked.uploads, asked.size * MB, asked.quitters, asked.spread, flag)
    )
    loaded, elsewhere = finish(health), finish(control)
    flag.unlink()
    wait_for(lambda: get(target)["open"] == 0, 30)
    stored = get(target)
    # Connections to Domo are kept for a while; then all must be as before.
    after = wait_for(lambda: (now := sockets(app.pid)) <= before and now, 60) or sockets(app.pid)
    intact = sum(
        stored["files"].get(name, (0, 0, 0))[:2] == [asked.size * MB, crc]
        for name, crc in sent["crcs"].items()
    )
    app.send_signal(signal.SIGUSR1)
    turns = json.loads(app.stdout.readline())
    return {
        "uploads": asked.uploads,
        "size MB": asked.size,
        "statuses": sent["statuses"],
        "intact": intact,
        "seconds": sent["seconds"],
        "MB/s": asked.uploads * asked.size / sent["seconds"],
        "parts": sum(parts for _, _, parts in stored["files"].values()),
        "memory idle MiB": idle,
        "memory peak MiB": memory(app.pid, "VmHWM"),
        "health alone ms": figures(alone),
        "health beside ms": figures(loaded),
        "health of an idle twin meanwhile ms": figures(elsewhere),
        "turns of the loop: ms from beginning to end": turns["wall"],
        "turns of the loop: ms without waiting for a core": turns["own"],
        "turns of the loop: ms of a core": turns["cpu"],
        "turns of the loop: callbacks": turns["callbacks"],
        "quitters": asked.quitters,
        "files of quitters": sum(name.startswith("quitter") for name in stored["files"]),
        "open sessions after": stored["open"],
        "sockets before": before,
        "sockets after": after,
    }


def main():
    # So that the processes below end with this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser()
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--size", type=int, default=10, help="MB, 10**6 bytes")
    parser.add_argument("--quitters", type=int, default=100)
    parser.add_argument("--spread", type=float, default=5, help="seconds in which all begin")
    parser.add_argument("--http", default="auto", help="uvicorn's implementation")
    parser.add_argument("--json", type=pathlib.Path)
    asked = parser.parse_args()
    domo = run("domo")
    port, idle_port = free_port(), free_port()
    where = int(domo.stdout.readline())
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DOMO_INSTANCE": f"http://127.0.0.1:{where}",
        "DOMO_ACCESS_TOKEN": "token",
    }
    command = [sys.executable, __file__, "--role", "app", asked.http]
    app = subprocess.Popen([*command, str(port)], env=environment, stdout=subprocess.PIPE)
    # What its health check takes is what this machine takes, whatever else runs on it.
    twin = subprocess.Popen([*command, str(idle_port)], env=environment)
    try:
        results = measure(
            asked, where, app, port, idle_port, pathlib.Path(os.environ.get("TMPDIR", "/tmp"))
        )
    finally:
        for process in (app, twin, domo):
            process.kill()
            process.wait(30)
    print(json.dumps(results, indent=1))
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[2:3] == ["domo"] or sys.argv[2:3] == ["load"]:
        os.nice(10)  # they stand for other machines
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits, 65536), limits))
    if sys.argv[1:2] != ["--role"]:
        main()
    elif sys.argv[2] == "domo":
        asyncio.run(serve())
    elif sys.argv[2] == "app":
        asyncio.run(run_app(int(sys.argv[4]), sys.argv[3]))
    elif sys.argv[2] == "health":
        asyncio.run(ask_health(int(sys.argv[3]), float(sys.argv[4])))
    else:
        port, count, size, quitters = map(int, sys.argv[3:7])
        asyncio.run(load(port, count, size, quitters, float(sys.argv[7])))
