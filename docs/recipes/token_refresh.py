import asyncio
from pathlib import Path

from domo_files_async import DeveloperToken, DomoFilesSession

SECRET = Path("domo-token")


async def read_token() -> str:
    """Read what others keep fresh: asked at first, and once after each 401."""
    return (await asyncio.to_thread(SECRET.read_text)).strip()


def open_session(instance: str) -> DomoFilesSession:
    return DomoFilesSession(instance, auth=DeveloperToken(read_token))
