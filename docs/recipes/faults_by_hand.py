from domo_files_async.emulator import Emulator


async def check_that_a_lost_answer_makes_one_file() -> None:
    async with Emulator() as emulator, emulator.session("ada") as domo:
        # The upload will be done, but nobody will be told.
        fault = emulator.faults.add("upload_file", reset="after")

        result = await domo.upload(b"a,b\n1,2\n", name="orders.csv")

        assert fault.met == 1
        assert list(emulator.files) == [result.data_file_id]
        sent = [one for one in emulator.requests if one.operation == "upload_file"]
        assert len(sent) == 1  # it was looked for, not sent again
