import ssl

from domo_files_async import DomoFilesSession


def open_session(proxy: str, certificates: str | None = None) -> DomoFilesSession:
    context = ssl.create_default_context()
    if certificates is not None:  # the company's, in addition to the system's own
        context.load_verify_locations(certificates)
    return DomoFilesSession.from_env(proxy=proxy, ssl=context)


def open_session_as_the_environment_says() -> DomoFilesSession:
    return DomoFilesSession.from_env(trust_env=True)  # HTTPS_PROXY, NO_PROXY, …
