"""What a figure was measured on."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import pathlib
import platform
import ssl
import subprocess
from typing import Any

LIBRARIES = (
    "aiohttp",
    "aiofiles",
    "anyio",
    "cryptography",
    "httpx",
    "pyopenssl",
    "requests",
    "boto3",
    "obstore",
)


def facts() -> dict[str, Any]:
    """Describe the machine, its Python and the libraries."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "openssl": ssl.OPENSSL_VERSION,
        "load before": os.getloadavg()[0],
        "commit": _commit(),
        "versions": versions,
    }


def _processor() -> str:
    cpus = pathlib.Path("/proc/cpuinfo")
    if cpus.exists():
        for line in cpus.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        check=False,
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parent,
    )
    return done.stdout.strip() or "unknown"
