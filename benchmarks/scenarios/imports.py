"""What it costs to import the package, and to ask the command for its help."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.bench import ROOT, Bench, Check, Result, Spread

STANDS_ON = "aiohttp, aiofiles, attrs, cattrs, anyio"
OURS, USED = "import domo_files_async", "from domo_files_async import DomoFilesSession"
BELOW = f"import {STANDS_ON}"
IMPORTS = (OURS, USED, BELOW)
HELP = "import sys; sys.argv = ['domo-files', '--help']; from domo_files_async.cli.app import main"
COMMANDS = {"domo-files --help": f"{HELP}; main()", "import typer": "import typer"}
OF_STANDS_ON, OF_TYPER = 1.15, 1.5
REPEATS = 15


def measure(bench: Bench) -> Result:
    found: dict[str, list[float]] = {name: [] for name in (*IMPORTS, *COMMANDS)}
    for _ in range(max(bench.repeats, REPEATS)):
        for name in IMPORTS:
            found[name].append(_import_time(name))
        for name, code in COMMANDS.items():
            found[name].append(_process_time(code))
    spreads = {name: Spread.of(1000 * t for t in times) for name, times in found.items()}
    print("\nms: median (least to greatest)")
    for name, spread in spreads.items():
        print(f"{name:45} {spread}")
    spreads["what it stands on"] = spreads.pop(BELOW)
    spreads["domo_files_async, used"] = spreads.pop(USED)
    imports = {
        name: Spread.of(a / b for a, b in zip(found[name], found[BELOW], strict=True))
        for name in (OURS, USED)
    }
    shown, typer = (found[name] for name in COMMANDS)
    helps = Spread.of(a / b for a, b in zip(shown, typer, strict=True))
    return Result(
        figures={name: {"ms": spread.__dict__} for name, spread in spreads.items()},
        checks=[
            *(
                Check(
                    f"{name} costs at most {OF_STANDS_ON} times what it stands on does",
                    str(ratio),
                    ratio.median <= OF_STANDS_ON,
                )
                for name, ratio in imports.items()
            ),
            Check(
                f"domo-files --help takes less than {OF_TYPER} times a python that imports typer",
                str(helps),
                helps.median < OF_TYPER,
            ),
        ],
    )


def _import_time(statement: str) -> float:
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    return float(_python(code))


def _process_time(code: str) -> float:
    began = time.perf_counter()
    _python(code)
    return time.perf_counter() - began


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return done.stdout
