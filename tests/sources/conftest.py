"""Fixtures of the readers' tests."""

import os
from pathlib import Path

import duckdb
import pytest


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
