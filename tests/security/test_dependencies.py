"""What is imported is declared, so that whoever audits what is declared leaves nothing out."""

import ast
import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

import domo_files_async

PACKAGE = Path(domo_files_async.__file__).parent
PROJECT = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
COMES_WITH = {"OpenSSL": "pyopenssl", "opentelemetry": "opentelemetry-api", "yarl": "aiohttp"}
PYTEST = {"pytest", "pytest_asyncio"}
"""Who loads our plugin runs them already."""


def names_of(requirements):
    return {re.match(r"[\w.-]+", one)[0].lower() for one in requirements}


def imported_by(path):
    """Give what a module imports of others, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"domo_files_async"}


def test_nothing_is_imported_that_is_not_declared():
    declared = names_of(PROJECT["dependencies"]).union(*map(names_of, EXTRAS.values()))
    imported = {
        (path.relative_to(PACKAGE).as_posix(), COMES_WITH.get(name, name.replace("_", "-")))
        for path in PACKAGE.rglob("*.py")
        for name in imported_by(path) - (PYTEST if path.name == "pytest_plugin.py" else set())
    }
    assert {one for one in imported if one[1] not in declared} == set()
    assert {name for _, name in imported} >= {"aiohttp", "aiofiles", "attrs", "cattrs"}


def test_each_requirement_says_the_oldest_version_that_will_do():
    for requirement in chain(PROJECT["dependencies"], *EXTRAS.values()):
        assert re.match(r"[\w.-]+>=\d", requirement), requirement
