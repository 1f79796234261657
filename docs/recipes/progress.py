from collections.abc import Callable

from domo_files_async import DomoFilesSession, Progress


def each_tenth(name: str) -> Callable[[Progress], None]:
    """Make a progress function that writes eleven lines at most, for any file."""
    told = -1

    def tell(progress: Progress) -> None:
        nonlocal told
        total = progress.bytes_total
        if total and (tenth := 10 * progress.bytes_done // total) > told:
            told = tenth
            print(f"{name}: {10 * tenth} % of {total:,} bytes")

    return tell


async def send(domo: DomoFilesSession, path: str) -> int:
    result = await domo.upload(path, progress=each_tenth(path))
    return result.data_file_id
