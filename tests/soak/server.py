"""The server of a soak: an emulator in a process of its own, with faults by chance.

usage: python server.py SEED SHARE [FOLDER]

It prints its address and a credential, and at the end of its input what it has.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter

from domo_files_async.emulator import Emulator, Fault, Faults
from domo_files_async.emulator.faults import CARRIERS

HALF = "half an answer"
KINDS = {
    "500": {"status": 500},
    "502": {"status": 502, "body": "<html>Bad gateway</html>"},
    "503, then silence": {"status": 503, "headers": {"Retry-After": "0"}},
    "429": {"status": 429, "headers": {"Retry-After": "0"}},
    "maintenance": {"maintenance": True},
    "reset before": {"reset": "before"},
    "reset in the body": {"reset": "body"},
    "reset after": {"reset": "after"},
    HALF: {"corrupt": True},
}
SPARED = frozenset({"abort_multipart_session"})
"""What is tried a few times only, by somebody who doesn't wait for it."""

EVERY = 5.0


class ChanceFaults(Faults):
    """A fault for a share of all requests."""

    def __init__(self, seed: int, share: float) -> None:
        super().__init__()
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._share = share
        self.seen: Counter[str] = Counter()

    def take(self, operation: str, part: int | None, session_id: str | None) -> Fault | None:
        scripted = super().take(operation, part, session_id)
        if scripted or operation in SPARED or self._chance.random() >= self._share:
            return scripted
        kind = self._chance.choice(list(KINDS))
        if kind == HALF and operation in CARRIERS:
            # Here it would change the file's bytes, and a simple upload has no checksum.
            kind = "reset after"
        self.seen[kind] += 1
        return Fault(operation=operation, **KINDS[kind])


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def _forget(emulator: Emulator, total: Counter[str]) -> None:
    while True:
        await asyncio.sleep(EVERY)
        _count(emulator, total)


def _count(emulator: Emulator, total: Counter[str]) -> None:
    total["requests"] += len(emulator.requests)
    emulator.requests.clear()


async def _what_is_there(emulator: Emulator) -> dict[str, list[str]]:
    """Give each data file's digests, oldest first, by its name."""
    there: dict[str, list[str]] = {}
    async with emulator.session("ada") as domo:
        for file in await domo.list_files():
            revisions = await domo.list_revisions(file.data_file_id)
            digests = [
                (one.sha256_hash_value or "").lower()
                for one in sorted(revisions, key=lambda one: one.data_file_revision_id)
            ]
            # Two files of one name are two entries, and no test takes them for one.
            name = file.name if file.name not in there else f"{file.name} again"
            there[name] = digests
    return there


async def main(seed: int, share: float, folder: str | None) -> None:
    loop = asyncio.get_running_loop()
    async with Emulator(folder) as emulator:
        faults = emulator.faults = ChanceFaults(seed, share)
        _say([emulator.url, emulator.credential("ada")])
        total: Counter[str] = Counter()
        forgetting = asyncio.create_task(_forget(emulator, total))
        await loop.run_in_executor(None, sys.stdin.read)
        forgetting.cancel()
        _count(emulator, total)
        emulator.faults = Faults()
        said = {
            "requests": total["requests"],
            "faults": dict(faults.seen),
            "open sessions": len(emulator.open_sessions),
            "files": await _what_is_there(emulator),
        }
        _say(said)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), *(sys.argv[3:] or [None])))
