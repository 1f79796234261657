"""Where the command line takes the instance and its credential from."""

import asyncio
import os

import pytest

from domo_files_async.cli.credentials import read_settings
from domo_files_async.errors import InvalidArgumentError

SECRET = "DPdeveloper-token"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOMO_CREDENTIALS_FILE", raising=False)
    return tmp_path


@pytest.fixture
def write(home):
    def write(text, *, mode=0o600, path=".config/domo-files/credentials"):
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
        return file

    return write


def test_a_file_that_only_its_owner_can_read_is_taken(write):
    file = write(f"# mine\n\nDOMO_INSTANCE=acme\n DOMO_ACCESS_TOKEN = {SECRET}\n")
    settings = read_settings()
    assert settings.values == {"DOMO_INSTANCE": "acme", "DOMO_ACCESS_TOKEN": SECRET}
    assert settings.source == str(file)
    assert SECRET not in repr(settings)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_file_that_others_can_use_is_refused(write, mode):
    write(f"DOMO_ACCESS_TOKEN={SECRET}", mode=mode)
    with pytest.raises(InvalidArgumentError, match="chmod 600") as caught:
        read_settings()
    assert f"mode {mode:o}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_file_of_somebody_elses_is_refused(write, monkeypatch):
    write(f"DOMO_ACCESS_TOKEN={SECRET}")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(InvalidArgumentError, match="somebody else"):
        read_settings()


@pytest.mark.parametrize(
    "text", [f"DOMO_ACCESS_TOKEN {SECRET}", f"TOKEN={SECRET}", f"{SECRET}", f"\nexport A={SECRET}"]
)
def test_a_line_that_says_nothing_known_is_named_and_not_shown(write, text):
    write(text)
    with pytest.raises(InvalidArgumentError, match=f"Line {len(text.splitlines())} of") as caught:
        read_settings()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xfe", b"A" * 70_000])
def test_what_is_no_file_of_credentials_is_refused(write, data):
    write("").write_bytes(data)
    with pytest.raises(InvalidArgumentError, match=r"UTF-8|too large"):
        read_settings()


def test_a_credential_of_the_environment_goes_before_the_file(write, monkeypatch):
    write("nonsense that is not even read")
    monkeypatch.setenv("DOMO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("DOMO_APP_SESSION", SECRET)
    settings = read_settings()
    assert settings.source == "the environment"
    assert settings.values == {"DOMO_URL": "http://127.0.0.1:9", "DOMO_APP_SESSION": SECRET}


def test_an_instance_of_the_environment_goes_before_the_files(write, monkeypatch):
    write(f"DOMO_INSTANCE=acme\nDOMO_ACCESS_TOKEN={SECRET}")
    monkeypatch.setenv("DOMO_INSTANCE", "other")
    assert read_settings().values["DOMO_INSTANCE"] == "other"


def test_another_file_can_be_named_and_must_be_there(write, home, monkeypatch):
    monkeypatch.setenv("DOMO_CREDENTIALS_FILE", str(home / "mine"))
    with pytest.raises(InvalidArgumentError, match="isn't there"):
        read_settings()
    write("DOMO_INSTANCE=acme", path="mine")
    assert read_settings().values == {"DOMO_INSTANCE": "acme"}


def test_without_a_file_the_environment_is_all(home):
    assert read_settings().values == {}


def test_a_folder_is_refused(home, monkeypatch):
    monkeypatch.setenv("DOMO_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(InvalidArgumentError, match="isn't a file"):
        read_settings()


async def test_commands_work_with_the_file(run, emulator, write):
    write(f"DOMO_INSTANCE={emulator.url}\nDOMO_ACCESS_TOKEN={emulator.credential('ada')}")
    ended = await asyncio.to_thread(run, "ls")
    assert (ended.code, ended.err) == (0, "")
    write("", mode=0o644)
    ended = await asyncio.to_thread(run, "ls")
    assert ended.code == 2
    assert "chmod 600" in ended.err


def test_no_option_of_any_command_takes_a_credential(run):
    for command in ("upload", "ls", "doctor", "rm"):
        said = run(command, "--help").out.lower()
        assert "--local" in said or "--url" in said
        for word in (
            "--token",
            "--password",
            "--secret",
            "--auth",
            "--credential",
            "--app-session",
        ):
            assert word not in said
