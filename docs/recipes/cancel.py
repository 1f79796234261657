import asyncio

from domo_files_async import DomoFilesSession, UploadResult


async def send_within(
    domo: DomoFilesSession, path: str, seconds: float
) -> UploadResult | None:
    try:
        async with asyncio.timeout(seconds):
            return await domo.upload(path)
    except TimeoutError:
        print(f"{path} took longer than {seconds:g} s")
        return None
