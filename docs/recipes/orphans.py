from contextlib import suppress
from datetime import UTC, datetime, timedelta

from domo_files_async import DomoFilesSession, NotFoundError, UploadJournal


async def put_away(domo: DomoFilesSession, path: str, older_than: timedelta) -> int:
    gone, latest = 0, datetime.now(UTC) - older_than
    async with UploadJournal(path) as journal:
        for left in await journal.uploads():
            if left.is_held or left.may_be_made or left.began > latest:
                continue  # somebody works on it, or a later run has to look first
            if left.session_id is not None:
                with suppress(NotFoundError):  # the server may have dropped it
                    await domo.abort_multipart_session(left.session_id)
            await journal.forget(left.id)
            gone += 1
    return gone
