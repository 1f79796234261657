"""Many files as one job: planned, run, killed and gone on with, verified, reported."""

from domo_files_async.bulk.items import Item, from_directory, from_glob, from_session
from domo_files_async.bulk.job import Job
from domo_files_async.bulk.manifest import from_manifest
from domo_files_async.bulk.migrate import migrate
from domo_files_async.bulk.monitor import JobStatus
from domo_files_async.bulk.outcomes import Outcome, Planned, Status
from domo_files_async.bulk.plan import Action, Failure
from domo_files_async.bulk.report import Report
from domo_files_async.bulk.urls import from_urls
from domo_files_async.bulk.verify import Difference, DifferenceKind, verify

__all__ = (  # noqa: RUF022 - grouped by what they are for
    # The job
    "Job",
    "JobStatus",
    "Outcome",
    "Planned",
    "Status",
    "Action",
    "Failure",
    "Report",
    # What it moves
    "Item",
    "from_directory",
    "from_glob",
    "from_manifest",
    "from_session",
    "from_urls",
    # From one instance to another
    "migrate",
    # Proof
    "Difference",
    "DifferenceKind",
    "verify",
)
