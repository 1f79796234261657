"""The Files API on one's own machine: strict, on both surfaces, with faults on request."""

from domo_files_async.emulator.app import Emulator
from domo_files_async.emulator.faults import Behaviour, Fault, Faults, ReceivedRequest

__all__ = ("Behaviour", "Emulator", "Fault", "Faults", "ReceivedRequest")
