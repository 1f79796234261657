import hashlib
from pathlib import Path

from domo_files_async import ChecksumMismatchError, DomoFilesSession


async def send(domo: DomoFilesSession, path: Path) -> int:
    try:
        result = await domo.upload(path, verify="sha256")
    except ChecksumMismatchError as error:
        print(f"Data file {error.data_file_id} is there, but isn't {path}: {error}")
        raise
    with path.open("rb") as file:  # what `sha256sum` prints, too
        assert result.sha256 == hashlib.file_digest(file, "sha256").hexdigest()
    return result.data_file_id
