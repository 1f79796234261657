"""Where the instance and its credential come from: the environment, or a file of its owner's.

Never the command line, which every user of a machine can read, and which shells keep.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import attrs

from domo_files_async.errors import InvalidArgumentError

__all__ = ("FILE_VARIABLE", "Settings", "read_settings")

FILE_VARIABLE = "DOMO_CREDENTIALS_FILE"
"""Names the file, in place of `~/.config/domo-files/credentials`."""

_NAMES = frozenset({"DOMO_INSTANCE", "DOMO_ACCESS_TOKEN", "DOMO_URL", "DOMO_APP_SESSION"})
_LONGEST = 64 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@attrs.frozen
class Settings:
    """What was found, and where."""

    values: dict[str, str] = attrs.field(repr=False)
    source: str


def read_settings() -> Settings:
    """Read the environment, and the file where the environment has no credential.

    The file holds lines such as `DOMO_INSTANCE=acme`; a name that the environment has, too, is
    taken from there.

    Raises:
        InvalidArgumentError: The file can be read by others than its owner, or says what can't
            be understood; its values are never shown.
    """
    given = {name: value for name in _NAMES if (value := os.environ.get(name))}
    if "DOMO_ACCESS_TOKEN" in given or "DOMO_APP_SESSION" in given:
        return Settings(given, "the environment")
    named = os.environ.get(FILE_VARIABLE)
    try:
        path = Path(named) if named else Path.home() / ".config" / "domo-files" / "credentials"
        text = _read_private(path)
    except (FileNotFoundError, RuntimeError):
        if named:
            raise InvalidArgumentError(
                f"{FILE_VARIABLE} names {named}, which isn't there"
            ) from None
        return Settings(given, "the environment")
    return Settings({**_parse(text, path), **given}, str(path))


def _read_private(path: Path) -> str:
    with path.open("rb") as file:
        # What was opened is what is asked about, so that nothing can be put in its place.
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise InvalidArgumentError(f"{path} isn't a file")
        if os.name == "posix":
            if found.st_uid != os.geteuid():
                raise InvalidArgumentError(f"{path} belongs to somebody else: make one of your own")
            if found.st_mode & _OTHERS:
                raise InvalidArgumentError(
                    f"{path} can be used by others (mode {stat.S_IMODE(found.st_mode):o}): run "
                    f"`chmod 600 {path}`, and replace the credential if they may have seen it"
                )
        data = file.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise InvalidArgumentError(f"{path} is too large for a file of credentials")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidArgumentError(f"{path} isn't text in UTF-8") from None


def _parse(text: str, path: Path) -> dict[str, str]:
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name not in _NAMES:
            raise InvalidArgumentError(
                f"Line {number} of {path} isn't NAME=value with one of {', '.join(sorted(_NAMES))}"
            )
        values[name] = value
    return values
