from domo_files_async import DomoFilesSession, bulk


async def send_folder(domo: DomoFilesSession, folder: str) -> int:
    failed = 0
    async with bulk.Job("job.sqlite") as job:  # made, or gone on with
        await job.add(bulk.from_directory(folder, pattern="**/*.csv"))
        async for outcome in job.run(domo):
            if outcome.status in {bulk.Status.FAILED, bulk.Status.UNKNOWN}:
                print(f"{outcome.item.source}: {outcome.status}: {outcome.error}")
                failed += 1
        async for difference in bulk.verify(job, domo):
            print(f"{difference.item.source}: {difference.kind}: {difference.detail}")
            failed += 1
        report = await job.report()
        report.write_html("report.html")
        report.write_id_map("ids.csv")
    return failed
