"""The project's checks. `nox` runs those that every change must pass."""

from __future__ import annotations

import pathlib
import shutil
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


def _interpreter(version: str) -> str | None:
    """Find a Python that is on PATH, or that pyenv has installed without putting it there."""
    root = pathlib.Path.home() / ".pyenv" / "versions"
    kept = sorted(root.glob(f"{version}.*/bin/python"), reverse=True)
    if kept:
        return str(kept[0])
    return shutil.which(f"python{version}")


PYTHONS = [found for version in SUPPORTED if (found := _interpreter(version))] or ["python3"]


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


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests, on each Python that is found."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Branches: all of the pure folders by their own tests alone, 97 % of the whole."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    for folder in PURE:
        session.run("coverage", "erase")
        session.run("coverage", "run", "-m", "pytest", "-q", f"tests/{folder}")
        session.run("coverage", "combine", "-q")
        session.run(
            "coverage", "report", f"--include=domo_files_async/{folder}/*", "--fail-under=100"
        )
    session.run("coverage", "erase")
    session.run("pytest", "-q", "-n", "auto", "--cov", "--cov-report=")
    session.run("coverage", "report", "--fail-under=97")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure uploads beside the plain way; see `benchmarks/`."""
    session.install("-e", ".")
    session.run("python", "benchmarks/upload.py", *session.posargs)
