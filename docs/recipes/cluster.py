from distributed import Client

from domo_files_async import DomoFilesSession, bulk
from domo_files_async.dask import run_on_dask


async def send_folder(scheduler: str, folder: str) -> list[bulk.Outcome]:
    async with (
        Client(scheduler, asynchronous=True) as client,
        bulk.Job("job.sqlite") as job,
    ):
        # Every worker must be able to read that folder.
        await job.add(bulk.from_directory(folder))
        outcomes = run_on_dask(job, client, DomoFilesSession.from_env, concurrency=64)
        return [outcome async for outcome in outcomes]
