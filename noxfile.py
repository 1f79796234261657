"""The project's checks. `nox` runs those that every change must pass."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
import tomllib

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "typing", "tests", "coverage", "docs"]
nox.options.default_venv_backend = "uv|venv"
nox.options.reuse_existing_virtualenvs = True
# Where pip installs: most is never imported, and what is, is compiled then.
os.environ.setdefault("PIP_NO_COMPILE", "1")
# Whoever is trusted to serve pip is trusted to serve uv.
os.environ.setdefault("UV_SYSTEM_CERTS", "1")

PROJECT = tomllib.loads(pathlib.Path("pyproject.toml").read_text(encoding="utf-8"))
GROUPS: dict[str, list[str]] = PROJECT["dependency-groups"]
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
SUPPORTED = nox.project.python_versions(PROJECT)
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PURE = ("protocol", "planning")
PROOF = "proof"
"""`nox -t proof` runs what takes too long for every change, and prints its numbers."""

SAME = "--hypothesis-profile=same"
"""The same examples each time; plain `pytest` looks for new ones."""

SIDE_BY_SIDE = ("-n", str((os.cpu_count() or 1) + 1))
"""One process more than cores: a quarter of the time, tests wait for others and for sockets."""


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
    session.run("mypy", "noxfile.py", "tests/typing", "docs/ledger_diagram.py", "docs/links.py")
    # Tests as users write them have no types.
    session.run("mypy", "docs/recipes", "--exclude", "faults_in_tests")


@nox.session(python=OTHERS)
def tests(session: nox.Session) -> None:
    """All tests, on each other Python that is found; `coverage` runs them on this one."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    session.run("pytest", "-q", *SIDE_BY_SIDE, "--maxfail=20", SAME, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """All tests on this Python; branches: the pure folders by their own tests, and the whole."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    own = [f".coverage-{folder}" for folder in PURE]
    for folder, found in zip(PURE, own, strict=True):
        env = {"COVERAGE_FILE": found}
        session.run("coverage", "erase", env=env)
        session.run("coverage", "run", "-m", "pytest", "-q", SAME, f"tests/{folder}", env=env)
        session.run("coverage", "combine", "-q", env=env)
        include = f"--include=domo_files_async/{folder}/*"
        session.run("coverage", "report", include, "--fail-under=100", env=env)
    session.run("coverage", "erase")
    others = [f"--ignore=tests/{folder}" for folder in PURE]
    session.run(
        "pytest", "-q", *SIDE_BY_SIDE, "--maxfail=20", SAME, "--cov", "--cov-report=", *others
    )
    session.run("coverage", "combine", "-q", "--append", *own)
    session.run("coverage", "report", "--fail-under=97")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation: built strictly, every link and anchor within it looked for."""
    session.install("-e", f".[{','.join(EXTRAS)}]", *GROUPS["docs"])
    built = pathlib.Path("docs", "_build")
    shutil.rmtree(built, ignore_errors=True)
    strict = ["-nW", "--keep-going", "-q", "-d", str(built / "doctrees"), "docs"]
    session.run("sphinx-build", "-b", "html", *strict, str(built / "html"))
    session.run("sphinx-build", "-b", "linkcheck", *strict, str(built / "linkcheck"))
    session.run("python", "docs/links.py", str(built / "html"))
    session.log(f"Open {built / 'html' / 'index.html'} in a browser")


@nox.session
def console(session: nox.Session) -> None:
    """The console in Chromium: by mouse and by keyboard, dark and light, wide or narrow."""
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, CHROMIUMS)]
    chromium = next((one for one in found if one), None)
    if chromium is None:
        session.error(
            f"There is no Chromium: install one ({', '.join(CHROMIUMS)} are looked for on PATH), "
            "or say in CHROMIUM where it is"
        )
    session.install("-e", ".[cli]", *GROUPS["test"], *GROUPS["console"])
    browser = {"CHROMIUM": chromium}
    session.run("pytest", "-q", "tests/console/in_browser.py", *session.posargs, env=browser)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure transfers beside the machine's limit and other clients; see `benchmarks/`."""
    session.install("-e", ".[cli]", *GROUPS["bench"])
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(tags=[PROOF])
def matrix(session: nox.Session) -> None:
    """Every request and every fault, and how many cells of that held."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    session.run("pytest", "-q", "tests/faults", "-n", "auto", *session.posargs)


@nox.session(tags=[PROOF])
def kills(session: nox.Session) -> None:
    """Kill 200 uploads and go on with them; kill a job twenty times, and count what is there."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    session.run("pytest", "-q", "tests/kill", "-n", "auto", "--kills", "200", *session.posargs)
    settings = {"DOMO_FILES_KILLS": "20", "DOMO_FILES_KILL_FILES": "400"}
    session.run("pytest", "-q", "tests/bulk/test_kill.py", *session.posargs, env=settings)


@nox.session(tags=[PROOF])
def cancellations(session: nox.Session) -> None:
    """Cancel each call at every point at which it, or a task of its own, waits; once and again."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    asked = ["tests/cancellation", "--every-step", "--timeout", "300"]
    session.run("pytest", "-q", "-n", "auto", *asked, *session.posargs)


@nox.session(tags=[PROOF])
def model(session: nox.Session) -> None:
    """Make 1,000 random sequences of calls, and compare what each does with a model of the API."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    asked = ["tests/model", "--sequences", "1000", "--timeout", "0"]
    session.run("pytest", "-q", *asked, *session.posargs)


@nox.session(tags=[PROOF])
def soak(session: nox.Session) -> None:
    """Upload 100,000 small files and a large one for an hour while one request in twenty fails."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    asked = ["--soak-uploads", "100000", "--soak-minutes", "60", "--soak-size", "3400"]
    session.run("pytest", "-q", "tests/soak", "-n", "2", *asked, *session.posargs)


@nox.session(tags=[PROOF])
def cluster(session: nox.Session) -> None:
    """Send a file of 4 GiB and jobs of 2,000 files with a cluster whose workers are lost."""
    session.install("-e", ".[cli]", *GROUPS["test"])
    asked = ["--cluster-size", "4096", "--cluster-files", "2000"]
    session.run("pytest", "-q", "tests/dask", "--timeout", "1200", *asked, *session.posargs)
    session.run("python", "-m", "benchmarks.dask_cost", "1000", "10000", "100000", "--pickled")
    session.run(
        *("python", "-m", "benchmarks.dask_cost", "10000", "--workers", "1000"),
        *("--budget", "1000", "--pickled"),
    )


@nox.session
def audit(session: nox.Session) -> None:
    """Ask for known weaknesses of what is depended on; fails where nobody can be asked."""
    session.install("-e", f".[{','.join(EXTRAS)}]", "pip-audit")
    # Strict: a package that nobody knows anything of isn't taken for a good one.
    session.run("pip-audit", "--strict", "--skip-editable", *session.posargs)


@nox.session
def minimums(session: nox.Session) -> None:
    """All tests with the oldest versions of what is depended on that are promised to do."""
    wanted = [
        *PROJECT["project"]["dependencies"],
        *(one for many in EXTRAS.values() for one in many),
    ]
    oldest = sorted({one.partition(",")[0].replace(">=", "==") for one in wanted})
    folder = pathlib.Path(session.create_tmp())
    (folder / "oldest.txt").write_text("\n".join(oldest) + "\n", encoding="utf-8")
    constraint = ["--constraint", str(folder / "oldest.txt")]
    session.install(*constraint, "-e", f".[{','.join(EXTRAS)}]", *GROUPS["test"])
    session.run("pytest", "-q", "-n", "auto", SAME, *session.posargs)
