from domo_files_async import DomoFilesSession, RetryPolicy, Timeouts


def open_session() -> DomoFilesSession:
    return DomoFilesSession.from_env(
        timeouts=Timeouts(
            connect=10, stall=30
        ),  # seconds without a byte, not seconds in all
        retry=RetryPolicy(max_attempts=6, initial_backoff=1, max_backoff=60),
    )
