"""Measure, print, and write down.

usage: python -m benchmarks [SCENARIO ...] [--quick] [--repeats N] [--out FOLDER] [--draw]
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import pathlib
import sys
import tempfile

from benchmarks.bench import ROOT, Bench, Result
from benchmarks.machine import facts
from benchmarks.report import write_pictures
from benchmarks.servers import build, make_tls

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
OUT = ROOT / "docs" / "benchmarks" / PYTHON
SCENARIOS = (
    "upload",
    "download",
    "small",
    "memory",
    "parts",
    "chunks",
    "fairness",
    "imports",
    "plugin",
    "links",
)


def write(out: pathlib.Path, name: str, result: Result) -> None:
    said = {
        "machine": facts(),
        "promises": [dataclasses.asdict(check) for check in result.checks],
        "figures": result.figures,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=(*SCENARIOS, []), metavar="SCENARIO")
    parser.add_argument("--quick", action="store_true", help="fewer runs of fewer contestants")
    parser.add_argument("--repeats", type=int, help="runs of each contestant")
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    parser.add_argument("--draw", action="store_true", help="only draw what was measured before")
    asked = parser.parse_args()
    if asked.draw:
        write_pictures(asked.out)
        return 0
    missed = 0
    with tempfile.TemporaryDirectory(prefix="domo-files-benchmarks-") as name:
        folder = pathlib.Path(name)
        bench = Bench(
            folder=folder,
            native=build(folder),
            tls=make_tls(folder),
            repeats=asked.repeats or (3 if asked.quick else 7),
            is_quick=asked.quick,
        )
        for scenario in asked.scenarios or SCENARIOS:
            module = importlib.import_module(f"benchmarks.scenarios.{scenario}")
            result: Result = module.measure(bench)
            print(*result.checks, sep="\n")
            missed += sum(not check.is_reached for check in result.checks)
            if result.figures:
                write(asked.out, scenario, result)
    write_pictures(asked.out)
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
