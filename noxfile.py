"""The project's checks. `nox` runs those that every change must pass."""

from __future__ import annotations

import pathlib
import shutil
import sys
import tomllib

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "typing", "tests", "coverage"]
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True

PROJECT = tomllib.loads(pathlib.Path("pyproject.toml").read_text(encoding="utf-8"))
GROUPS: dict[str, list[str]] = PROJECT["dependency-groups"]
SUPPORTED = nox.project.python_versions(PROJECT)
PURE = ("protocol", "planning")
SAME = "--hypothesis-profile=same"
"""The same examples each time; plain `pytest` looks for new ones."""


def _interpreter(version: str) -> str | None:
    """Find a Python that is on PATH, or that pyenv has installed without putting it there."""
    root = pathlib.Path.home() / ".pyenv" / "versions"
    kept = sorted(root.glob(f"{version}.*/bin/python"), reverse=True)
    if kept:
        return str(kept[0])
    return shutil.which(f"python{version}")


HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHERS = [found for version in SUPPORTED if version != HERE and (found := _interpreter(version))]


@nox.session
def lint(session: nox.Session) -> None:
    """Style, imports and their direction, spelling."""
    session.install("-e", ".[cli]", *GROUPS["lint"])
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("typos")


@nox.session
def typing(session: nox.Session) -> None:
    """Types of the package, of this file, and of what users write."""
    session.install("-e", ".[cli]", "nox", *GROUPS["test"], *GROUPS["typing"])
    session.run("mypy", "-p", "domo_files_async")
    session.run("mypy", "noxfile.py", "tests/typing")


@nox.session(python=OTHERS)
def tests(session: nox.Session) -> None:
    """All tests, on each other Python that is found; `coverage` runs them on this one."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    session.run("pytest", "-q", "-n", "auto", "--maxfail=20", SAME, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """All tests on this Python; branches: the pure folders by their own tests, and the whole."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    for folder in PURE:
        session.run("coverage", "erase")
        session.run("coverage", "run", "-m", "pytest", "-q", SAME, f"tests/{folder}")
        session.run("coverage", "combine", "-q")
        session.run(
            "coverage", "report", f"--include=domo_files_async/{folder}/*", "--fail-under=100"
        )
    session.run("coverage", "erase")
    session.run("pytest", "-q", "-n", "auto", "--maxfail=20", SAME, "--cov", "--cov-report=")
    session.run("coverage", "report", "--fail-under=97")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure transfers beside the machine's limit and other clients; see `benchmarks/`."""
    session.install("-e", ".[cli]", *GROUPS["bench"])
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def kills(session: nox.Session) -> None:
    """Kill 200 uploads and go on with them; kill a job twenty times, and count what is there."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    session.run("pytest", "-q", "tests/kill", "-n", "auto", "--kills", "200", *session.posargs)
    settings = {"DOMO_FILES_KILLS": "20", "DOMO_FILES_KILL_FILES": "400"}
    session.run("pytest", "-q", "tests/bulk/test_kill.py", *session.posargs, env=settings)
