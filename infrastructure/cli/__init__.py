"""The command line: `tiu`."""

from .app import main

__all__ = ["main"]
