from domo_files_async import DomoFilesSession, TransferConfig


def open_session() -> DomoFilesSession:
    """Find out how much at once the link carries, up to 8."""
    return DomoFilesSession.from_env(transfer=TransferConfig(max_concurrency=8))


def open_fixed_session() -> DomoFilesSession:
    """Let always 8 requests carry bytes at once, if there is so much to do."""
    fixed = TransferConfig(max_concurrency=8, adaptive=False)
    return DomoFilesSession.from_env(transfer=fixed)
