"""What holds the modules apart and small; the direction of imports is import-linter's to check."""

from __future__ import annotations

import ast
import io
import tokenize
import tomllib
from pathlib import Path

import pytest

import domo_files_async

ROOT = Path(domo_files_async.__file__).parent
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
PURE = [
    m
    for m in MODULES
    if m.startswith(("protocol/", "planning/")) or m in {"bulk/plan.py", "emulator/rules.py"}
]
LINTER = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
MOST_LINES = 400
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def lines_of_code(text):
    """Count lines that hold code: no docstrings, no comments, no blanks."""
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in LAYOUT
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            assert node.end_lineno is not None
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def imports(module):
    """Give what a module imports at any depth, in full."""
    package = ["domo_files_async", *Path(module).parent.parts]
    found = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def forbidden(module, names):
    return {one for one in imports(module) for name in names if f"{one}.".startswith(f"{name}.")}


def test_lines_of_code_are_counted_without_what_explains_them():
    text = (
        '"""A module."""\n\n# why\nx = """\ntwo\n"""  # here\n\n\ndef f():\n    """Do."""\n    (\n'
    )
    assert lines_of_code(text + "    )\n") == 6


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_longer_than_one_can_keep_in_mind(module):
    assert lines_of_code((ROOT / module).read_text("utf-8")) <= MOST_LINES


@pytest.mark.parametrize("module", [one for one in MODULES if not one.startswith("emulator/")])
def test_aiohttp_is_named_in_one_module_of_the_client_only(module):
    names = forbidden(module, ["aiohttp"])
    assert bool(names) == (module == "transport/wire.py"), names


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_reads_no_clock_no_file_and_no_network(module):
    (contract,) = [one for one in LINTER["contracts"] if one["name"] == "Pure folders are pure"]
    assert {"aiohttp", "asyncio", "time", "random", "os", "io"} <= set(
        contract["forbidden_modules"]
    )
    assert forbidden(module, contract["forbidden_modules"]) == set()


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_opens_nothing_and_asks_no_clock(module):
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(ast.parse((ROOT / module).read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    }
    assert not called & {"open", "print", "input", "now", "utcnow", "today", "__import__"}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_begins_with_what_it_is_for(module):
    said = ast.get_docstring(ast.parse((ROOT / module).read_text("utf-8")))
    if module == "version.py" and said is None:
        return
    assert said
    assert said.splitlines()[0].endswith((".", ":", "?"))


@pytest.mark.parametrize("module", MODULES)
def test_what_blocks_is_never_called_to_wait(module):
    assert "time.sleep" not in (ROOT / module).read_text("utf-8")


def test_test_folders_are_no_packages():
    assert not list((ROOT.parent / "tests").rglob("__init__.py"))


def drawn():
    """Give the modules that the architecture page lists, and the folders that it doesn't open."""
    page = (ROOT.parent / "docs" / "architecture.md").read_text("utf-8")
    folder, names = "", set()
    for line in page.partition("domo_files_async/\n")[2].partition("```")[0].splitlines():
        name = line.split()[0]
        if line.startswith("    "):
            names.add(folder + name)
        else:
            folder = name if name.endswith("/") else ""
            names.add(name)
    opened = {f"{name.partition('/')[0]}/" for name in names if not name.endswith("/")}
    return {name for name in names if name.endswith(".py")}, names - opened


def test_the_page_on_architecture_lists_what_is_there():
    modules, closed = drawn()
    folders = {name for name in closed if name.endswith("/")}
    assert modules == {
        one
        for one in MODULES
        if not one.endswith("__init__.py") and f"{one.partition('/')[0]}/" not in folders
    }
    assert all((ROOT / folder).is_dir() for folder in folders)
