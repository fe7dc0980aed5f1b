"""Readers: each turns one delivered file into the columns of a canonical table.

A format is a module of the same name with ``project(db, file, source, currency)``. It opens the file as the temp relation
``delivery`` (see ``files``), leaves what cannot be read in the temp table ``unread``, and returns a SELECT of canonical columns
plus ``file_row``. Typing, checks and quarantine come after it, the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from tollbook.workspace import Source


def reader_of(source: Source) -> Callable[..., str]:
    """The ``project`` function for the source: its format's, or the mapping by SQL."""
    return import_module(f"{__name__}.{source.format or 'mapped'}").project
