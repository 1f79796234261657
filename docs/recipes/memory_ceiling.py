from collections.abc import AsyncIterator

from domo_files_async import DomoFilesSession, TransferConfig

MIB = 1024 * 1024


def open_session() -> DomoFilesSession:
    return DomoFilesSession.from_env(transfer=TransferConfig(memory_budget=32 * MIB))


async def pass_on(domo: DomoFilesSession, chunks: AsyncIterator[bytes]) -> int:
    # It asks for the next chunk when there is room.
    result = await domo.upload(chunks, name="stream.bin")
    return result.data_file_id
