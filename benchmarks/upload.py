"""Uploads beside the plain way, interleaved; and the memory of large parts.

usage: python benchmarks/upload.py [--size MIB] [--repeats N] [--json FILE]
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
MIB = 1024 * 1024
WHO = ("ours", "plain")
BUDGET = 64


def run(who, url, path, options):
    command = [sys.executable, HERE / "contestants.py", who, url, path, json.dumps(options)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return json.loads(done.stdout)


def summary(values):
    return f"{statistics.median(values):8.2f} ({min(values):.2f}-{max(values):.2f})"


def speed(url, folder, size, repeats):
    path = folder / "data"
    with path.open("wb") as made:
        block = bytes(range(256)) * (MIB // 256)
        for _ in range(size):
            made.write(block)
    results = {who: [] for who in WHO}
    for _ in range(repeats):
        for who in WHO:
            results[who].append(run(who, url, path, {"part_size": 16 * MIB}))
    print(f"\n{size} MiB in parts of 16 MiB, {repeats} interleaved runs: median (min-max)")
    for figure in results["ours"][0]:
        for who in WHO:
            print(f"  {figure:18} {who:6} {summary([one[figure] for one in results[who]])}")
    ratios = [a["MiB/s"] / b["MiB/s"] for a, b in zip(results["ours"], results["plain"])]
    print(f"  {'ours / plain':18} {'':6} {summary(ratios)}")
    return results


def memory(url, folder):
    path = folder / "sparse"
    with path.open("wb") as made:
        made.truncate(2048 * MIB)
    config = {"max_concurrency": 16, "adaptive": False, "memory_budget": BUDGET * MIB}
    figures = run("ours", url, path, {"part_size": 100_000_000, "config": config})
    print("\n2 GiB of a path in parts of 100 MB, 16 at once")
    print(f"  memory above idle: {figures['memory MiB']:.1f} MiB, with a budget of {BUDGET} MiB")
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=1024, help="MiB")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=pathlib.Path)
    asked = parser.parse_args()
    with (
        subprocess.Popen([sys.executable, HERE / "sink.py"], stdout=subprocess.PIPE) as sink,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            url = f"http://127.0.0.1:{int(sink.stdout.readline())}"
            place = pathlib.Path(folder)
            results = {
                "speed": speed(url, place, asked.size, asked.repeats),
                "memory": memory(url, place),
            }
        finally:
            sink.terminate()
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
