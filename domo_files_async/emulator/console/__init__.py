"""The console: a page at the emulator's root that shows what is there, and what arrives."""

from domo_files_async.emulator.console.routes import Console

__all__ = ("Console",)
