"""What is said where a warehouse is not of this version."""

import duckdb
import pytest

from tollbook.errors import TollbookError
from tollbook.warehouse import schema


@pytest.mark.parametrize(
    ("query", "lacking"), [("from finance.fct_statements", "fct_statements"), ("select is_opening from (select 1 as a)", "is_opening")]
)
def test_a_table_or_column_that_an_earlier_version_did_not_build_is_said(query, lacking):
    with (
        duckdb.connect() as db,
        pytest.raises(TollbookError, match=f"(?s)has not built the warehouse yet: `tollbook run` first .*{lacking}"),
        schema.built(),
    ):
        db.execute(query)
