from datetime import datetime

from domo_files_async import DomoFilesSession

MB = 1_000_000
DAY = range(8, 18)


def keep_the_line_free(domo: DomoFilesSession, now: datetime) -> None:
    """Leave room for others by day; call it once an hour, also in mid-transfer."""
    domo.set_upload_rate(2 * MB if now.hour in DAY else None)
