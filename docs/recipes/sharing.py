from domo_files_async import DomoFilesSession, Grant, PermissionEntry


async def share(domo: DomoFilesSession, data_file_id: int, group: int) -> None:
    entry = PermissionEntry("GROUP", group, Grant.READ | Grant.SHARE)
    await domo.grant_access(data_file_id, entry)


async def take_back(domo: DomoFilesSession, data_file_id: int, group: int) -> None:
    await domo.revoke_access(data_file_id, ("GROUP", group))
