from domo_files_async import DomoFilesSession, OutcomeUnknownError


async def send(
    domo: DomoFilesSession, path: str, for_a_person: list[str]
) -> int | None:
    try:
        result = await domo.upload(path)
    except OutcomeUnknownError as error:
        # It may be there: don't send it again blindly.
        for_a_person.append(f"{path}: {error}")
        return None
    return result.data_file_id
