from domo_files_async import DomoFilesSession, UploadJournal


async def send(domo: DomoFilesSession, path: str) -> int:
    async with UploadJournal("uploads.journal") as journal:
        result = await domo.upload(path, journal=journal)
    return result.data_file_id
