"""What each Prometheus series of a file said first and last, and from when to when: for metrics that tell states and objects.

What files there may be, and which samples have what moment, stands in ``prometheus``. Values that are no number (staleness marks are
NaN) say that the series is not there.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import prometheus
from tollbook.workspace import Source

_SERIES = """
create or replace temp table prom_series as
with said as (
    select
        series_id,
        min(file_row) as file_row,
        min(moment) as first_at,
        max(moment) as last_at,
        -- the value is 1 for what is so
        min(moment) filter (value > 0) as first_true_at,
        max(moment) filter (value > 0) as last_true_at,
        arg_max(value, moment) as value
    from prometheus_points
    where not isnan(value)
    group by series_id
)

select said.*, series.metric, series.labels
from said inner join prometheus_series as series using (series_id);

-- the usual time between two samples of all, and the last moment that there was any
create or replace temp table prom_clock as
with moments as (select distinct moment from prometheus_points),

steps as (select moment, moment - lag(moment) over (order by moment) as step from moments)

select
    max(moment) as last_at,
    to_microseconds(coalesce(quantile_disc(epoch_us(moment) - epoch_us(moment - step), 0.5) filter (step >= interval 1 second), 0)) as step
from steps
"""


def open_series(db: duckdb.DuckDBPyConnection, file: Path, source: Source, prefixes: tuple[str, ...]) -> None:
    """Make ``prom_series`` (series_id, metric, labels, first_at, last_at, first_true_at, last_true_at, value, file_row), ``prom_clock``
    (last_at, step) and ``unread`` for the metrics of ``file`` whose names start with one of the prefixes, and the macro ``prom_time``;
    beside ``prometheus_points``, of which each is one of the series'.

    Raises:
        DeliveryError: the file is empty, cut off, or has no such series.
    """
    wanted = prometheus.Wanted(f"^({'|'.join(prefixes)})", f"series called {prefixes[0]}…", as_written=True, is_dated=False)
    prometheus.open_points(db, file, source, wanted)
    # a line of another kind and a sample without its metric's name are alike: nobody knows the series
    db.execute("update unread set column_name = 'metric', reason = 'is no sample of a series' where column_name in ('line', 'metric')")
    db.execute(f"create or replace temp macro prom_time(t) as {prometheus.moment_of('t')}")
    db.execute(_SERIES)
    if not db.execute("select count(*) from prom_series").fetchone()[0]:
        said = db.execute("select value, reason from unread order by file_row limit 1").fetchone()
        reason = f"; the first of what cannot be read: {said[0]!r} {said[1]}" if said else ""
        raise DeliveryError(f"{file.name} has no series called {' or '.join(f'{prefix}…' for prefix in prefixes)}{reason}.")
