"""Fixtures of the readers' tests."""

import os
from pathlib import Path

import duckdb
import pytest
from reader_rows import dictionaries


@pytest.fixture
def db():
    """A connection whose time zone is not UTC: no reader may depend on it."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'America/New_York'")
        yield connection


@pytest.fixture(scope="session")
def nise(request):
    """The program of koku-nise, which makes vendors' bills: TOLLBOOK_NISE, else what `make test` puts in .nise."""
    program = Path(os.environ.get("TOLLBOOK_NISE", request.config.rootpath / ".nise" / "bin" / "nise"))
    if not program.is_file():
        pytest.skip(f"no nise in {program}: `make .nise/installed`, or set TOLLBOOK_NISE to its path")
    return program


@pytest.fixture
def typed(db):
    """Rows of a reader as they would be loaded: ``(good, faulty)`` dictionaries by file_row, faulty with column and reason.

    Typing and checks are those of the load.
    """
    from tollbook.landing import intake

    def typed(reader, file, **settings):
        from tollbook.sources import request_terms
        from tollbook.workspace import Source

        source = Source(name="log", format=reader.__name__.split(".")[-1], path="*", **settings)
        request_terms.prepare(db)
        db.execute("set timezone = 'UTC'")
        rows = intake.typed_rows(db, source, file, reader.project(db, file, source, "USD"))
        good = dictionaries(db.execute(f"select * exclude (fault) from ({rows}) where fault is null order by file_row"))
        bad = dictionaries(
            db.execute(
                f"select file_row, fault.column_name, fault.reason from ({rows}) where fault is not null"
                " union all select file_row, column_name, reason from unread order by all"
            )
        )
        return good, [tuple(row.values()) for row in bad]

    return typed
