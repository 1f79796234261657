from domo_files_async import (
    DomoFilesSession,
    PermissionEntry,
    ScanRejectedError,
    ScanTimeoutError,
)


async def publish(domo: DomoFilesSession, path: str, reader: int) -> bool:
    result = await domo.upload(path)
    try:
        await domo.wait_for_scan(result.data_file_id, timeout=300)
    except ScanRejectedError as error:
        print(f"{path} is {error.scan_state}: nobody gets it")
        return False
    except ScanTimeoutError:
        print(f"{path} isn't scanned yet: ask again later")
        return False
    entry = PermissionEntry("USER", reader, "READ")
    await domo.grant_access(result.data_file_id, entry)
    return True
