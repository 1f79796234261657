import logging

from domo_files_async import DomoFilesSession
from domo_files_async.logs import LoggingObserver


def open_session() -> DomoFilesSession:
    observer = LoggingObserver(logging.getLogger("domo"), names_and_ids=False)
    return DomoFilesSession.from_env(observer=observer)
