"""Help and completion: right, and quick."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.main import get_group

import domo_files_async
from domo_files_async.cli.lazy import COMMANDS

ROOT = Path(domo_files_async.__file__).parents[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_of_each_command_what_the_command_says(name):
    module, said = COMMANDS[name]
    group = typer.Typer()
    import_module(f"domo_files_async.cli.{module}").register(group)
    command = get_group(group).commands[name]
    assert command.help.splitlines()[0] == said


def test_each_module_registers_only_what_the_table_has():
    for module in {module for module, _ in COMMANDS.values()}:
        group = typer.Typer()
        import_module(f"domo_files_async.cli.{module}").register(group)
        assert set(get_group(group).commands) == {
            name for name, (where, _) in COMMANDS.items() if where == module
        }


def test_help_lists_the_table(run):
    said = " ".join(run("--help").out.split())
    for name, (_, what) in COMMANDS.items():
        assert f"{name} {what}" in said


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("domo-files up", ["upload"]),
        ("domo-files do", ["download", "doctor"]),
        ("domo-files permissions re", ["revoke"]),
        ("domo-files upload --content", ["--content-type"]),
        ("domo-files ls --surface p", ["product"]),
    ],
)
def test_the_shell_completes(run, monkeypatch, words, found):
    monkeypatch.setenv("_DOMO_FILES_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert run().out.split() == found


def test_completion_can_be_installed(run, monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    said = run("--show-completion", "zsh").out
    assert "_DOMO_FILES_COMPLETE=complete_zsh" in said


def test_help_loads_nothing_that_takes_its_time():
    code = (
        "import sys, typer\n"
        "before = set(sys.modules)\n"
        "sys.argv = ['domo-files', '--help']\n"
        "from domo_files_async.cli.app import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print(sorted({'aiohttp', 'asyncio', 'attrs', 'cattrs', 'rich'} & set(sys.modules) - before))\n"
    )
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"
