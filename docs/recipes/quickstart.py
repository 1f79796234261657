import asyncio

from domo_files_async import DomoFilesSession


async def main(path: str) -> None:
    async with DomoFilesSession.from_env() as domo:
        made = await domo.upload(path, verify="sha256")
        print(f"{made.name} is data file {made.data_file_id}, SHA-256 {made.sha256}")

        # With its id, it gets a new revision.
        await domo.upload(path, data_file_id=made.data_file_id)

        got = await domo.download(made.data_file_id, "copy.csv")
        print(f"{got.size_bytes} bytes are back, verified, as {got.path}")


if __name__ == "__main__":
    asyncio.run(main("orders.csv"))
