from domo_files_async import DomoFilesSession, bulk


async def move(
    source: DomoFilesSession, target: DomoFilesSession, people: dict[str, str]
) -> bool:
    async with bulk.Job("migration.sqlite") as job:
        moving = bulk.migrate(source, target, job, principals=people, revisions="all")
        left = await moving
        for outcome in left:
            print(f"{outcome.item.name}: {outcome.status}: {outcome.error}")
        (await job.report()).write_id_map("ids.csv")  # old id, new id
    return not left
