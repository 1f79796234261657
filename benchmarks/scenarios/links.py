"""Adaptive concurrency beside the best fixed one, over twelve links; see `benchmarks/links.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.bench import ROOT, Check, Result

if TYPE_CHECKING:
    from benchmarks.bench import Bench

OF_BEST = 0.9


def measure(bench: Bench) -> Result:
    found = bench.folder / "links.json"
    command = [sys.executable, "-m", "benchmarks.links", "--json", str(found)]
    subprocess.run([*command, *(["--quick"] if bench.is_quick else [])], check=True, cwd=ROOT)
    return judge(json.loads(found.read_text(encoding="utf-8")))


def judge(links: list[dict[str, Any]]) -> Result:
    """Compare each link's share of the best fixed concurrency with the promise."""
    checks = [
        Check(
            f"{link['profile']}: at least {OF_BEST} of the best fixed concurrency's rate",
            f"{link['share']:.2f} of that with {link['best fixed']} at once",
            link["share"] >= OF_BEST,
        )
        for link in links
    ]
    return Result(figures={link["profile"]: link for link in links}, checks=checks)
