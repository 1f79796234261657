from collections.abc import AsyncIterator

from domo_files_async import DomoFilesSession


async def export(domo: DomoFilesSession, rows: AsyncIterator[str]) -> int:
    async with domo.open_upload("export.csv") as writer:
        await writer.write(b"id,amount\n")
        async for row in rows:
            await writer.write(row.encode() + b"\n")  # waits while the budget is full
    return writer.result.data_file_id
