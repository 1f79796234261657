import logging
import pickle

import pytest

from domo_files_async import DeveloperToken, DomoFilesError, RetryPolicy, TransferConfig
from domo_files_async.emulator import Emulator

DATA = bytes(5000)


async def test_a_credential_shows_in_no_log_repr_error_or_event(caplog):
    caplog.set_level(logging.DEBUG)
    seen = []
    async with Emulator() as emulator:
        secret = emulator.credential("ada")
        for operation in ("upload_part", "upload_file", "list_files"):
            echo = {"message": f"No: {secret}", "toe": secret}
            emulator.faults.add(
                operation, status=400, body=echo, headers={"X-Echo": secret, "Location": secret}
            )
        auth = emulator.auth("ada")
        async with emulator.session(
            "ada",
            observer=seen.append,
            retry=RetryPolicy(initial_backoff=0),
            transfer=TransferConfig(multipart_threshold=1000, part_size=1000),
        ) as domo:
            shown = [repr(domo), repr(auth), str(vars(type(auth)))]
            for work in (
                domo.upload(DATA, name="x"),
                domo.upload(b"x", name="x"),
                domo.list_files(),
            ):
                with pytest.raises(DomoFilesError) as caught:
                    await work
                error = caught.value
                while error is not None:
                    shown += [str(error), repr(error), repr(vars(error)), repr(pickle.dumps(error))]
                    error = error.__cause__ or error.__context__
        assert not emulator.faults.pending
    shown += [repr(event) for event in seen] + [record.getMessage() for record in caplog.records]
    shown += [repr(vars(record)) for record in caplog.records]
    assert not [text for text in shown if secret in text]


def test_a_credential_is_not_pickled():
    with pytest.raises(TypeError, match="credential"):
        pickle.dumps(DeveloperToken("secret"))
