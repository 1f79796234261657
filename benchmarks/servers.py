"""The server that takes everything: in C where there is a compiler, otherwise in Python."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import shutil
import ssl
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = pathlib.Path(__file__).parent
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-pthread")


@dataclasses.dataclass(frozen=True)
class Native:
    """The programs in C."""

    sink: pathlib.Path
    client: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Tls:
    """Certificates to trust, and the server's own with its key."""

    trusted: pathlib.Path
    own: pathlib.Path
    key: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Sink:
    """A running server."""

    url: str
    tls: Tls | None

    @property
    def certificates(self) -> str | None:
        """The file of those to trust."""
        return str(self.tls.trusted) if self.tls else None

    def taken(self) -> dict[str, int]:
        """Ask how many bytes and bodies came, and how many had a right or wrong checksum."""
        context = ssl.create_default_context(cafile=self.certificates) if self.tls else None
        with urllib.request.urlopen(f"{self.url}/stats", context=context) as reply:
            stats: dict[str, int] = json.load(reply)
            return stats


def build(folder: pathlib.Path) -> Native | None:
    """Compile the programs in C; `None`, said aloud, where that can't be done."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        print("No compiler: a server in Python takes the bytes, and there is no native figure")
        return None
    made: list[pathlib.Path] = []
    for name in ("sink", "client"):
        paths = [str(folder / name), str(HERE / "native" / f"{name}.c")]
        done = subprocess.run(
            [compiler, *FLAGS, "-o", *paths, "-lssl", "-lcrypto"],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            print(f"{name}.c doesn't compile here: a server in Python takes the bytes, and there")
            print(f"is no native figure. OpenSSL's headers may be missing:\n{done.stderr}")
            return None
        made.append(folder / name)
    return Native(*made)


def make_tls(folder: pathlib.Path) -> Tls:
    """Make a certificate for localhost, and an authority that vouches for it."""
    import trustme

    authority = trustme.CA()
    own = authority.issue_cert("localhost", "127.0.0.1")
    tls = Tls(folder / "trusted.pem", folder / "own.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(str(tls.trusted))
    for number, blob in enumerate(own.cert_chain_pems):
        blob.write_to_path(str(tls.own), append=number > 0)
    own.private_key_pem.write_to_path(str(tls.key))
    return tls


@contextmanager
def running_sink(
    native: Native | None,
    *,
    tls: Tls | None = None,
    file: pathlib.Path | None = None,
    verify: bool = False,
) -> Iterator[Sink]:
    """Run a server until the block ends.

    Args:
        native: Where the one in C is; `None` for the one in Python.
        tls: What it proves itself with; `None` for plain HTTP.
        file: What every download gives.
        verify: Compare each part with its checksum, which takes time.
    """
    command = [str(native.sink)] if native else [sys.executable, "-m", "benchmarks.sink"]
    if tls:
        command += ["--tls", str(tls.own), str(tls.key)]
    if file:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        command += ["--file", str(file), digest]
    if verify:
        command.append("--verify")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE.parent
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            port = int(process.stdout.readline())
            yield Sink(f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}", tls)
        finally:
            process.stdin.close()  # it ends by itself then
            process.wait(timeout=10)
