from domo_files_async import DomoFilesSession, Event, RetryPolicy, Throttled


def tell(event: Event) -> None:
    if isinstance(event, Throttled):
        print(f"Domo asks for {event.delay:g} s of silence")


def open_session() -> DomoFilesSession:
    patient = RetryPolicy(max_attempts=8, max_retry_after=600)
    return DomoFilesSession.from_env(retry=patient, observer=tell)
