"""Time of a month's statements for many cost centres, workbooks and PDFs.

    python bench/statements.py WORKSPACE [--period 2026-09] [--teams 40] [--runs 3]

Takes a workspace that was run (the sample, or `tollbook demo DIR --month 2026-09`), copies its warehouse, makes of what is charged in the
month as many cost centres as asked, with a month before it, and prints the seconds of freezing once, and per run of the figures alone, of
all statements with their figures, and of the processor for both; then the medians.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tollbook.finance import freeze, ledger
from tollbook.finance.statements import issue
from tollbook.finance.statements.figures import statements_of
from tollbook.workspace import SETTINGS_FILE, Workspace

# every team once more under other names, and at amounts that are no whole cents; then all of it a month earlier, a tenth less
_MULTIPLIED = """
create temp table teams as select 'team-' || i as new_team, 'CC-' || lpad(i::varchar, 3, '0') as new_centre, i from range(1, $teams + 1) as one(i);

create temp table more as
select postings.* replace (
    new_team as team, new_centre as cost_centre, coalesce(project || '-' || i, null) as project,
    (posted_cost * (1 + i * 0.0137)::decimal(9, 4))::decimal(38, 12) as posted_cost
)
from ledger.postings cross join teams
where accounting_period = $period::date and bucket = 'allocated';

delete from ledger.postings where accounting_period = $period::date and bucket = 'allocated';
insert into ledger.postings select * from more;
insert into ledger.postings
select * replace (
    (accounting_period - interval 1 month)::date as accounting_period, (usage_date - interval 1 month)::date as usage_date,
    (posted_cost * 0.9)::decimal(38, 12) as posted_cost
)
from ledger.postings where accounting_period = $period::date;

create temp table more_hours as
select hours.* replace (new_team as team, new_centre as cost_centre)
from engineering.fct_gpu_hours as hours cross join teams where is_held and team is not null;
delete from engineering.fct_gpu_hours where is_held and team is not null;
insert into engineering.fct_gpu_hours select * from more_hours;
insert into engineering.fct_gpu_hours
select * replace ((usage_date - interval 1 month)::date as usage_date) from engineering.fct_gpu_hours;
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--period", type=lambda said: datetime.strptime(said, "%Y-%m").date(), default="2026-09")
    parser.add_argument("--teams", type=int, default=40)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place, folder = Path(temporary), Path(temporary) / "month"
        shutil.copy(options.workspace / SETTINGS_FILE, place)
        shutil.copy(options.workspace / "warehouse.duckdb", place)
        workspace = Workspace.open(place)
        with workspace.connect() as db:
            for statement in _MULTIPLIED.split(";\n"):
                used = {name: getattr(options, name) for name in ("teams", "period") if f"${name}" in statement}
                db.execute(statement, used or None)
            started = time.perf_counter()
            freeze.freeze(db, options.period, ledger.next_moment(db), workspace.currency, folder)
            print(f"freeze {time.perf_counter() - started:.2f}")
        runs = []
        for _ in range(options.runs):
            started, used = time.perf_counter(), time.process_time()
            with workspace.connect() as db:
                statements_of(db, folder, options.period)
            figured = time.perf_counter()
            issued = issue(workspace, options.period, folder, place / "out", draft=True)
            whole = time.perf_counter() - figured
            runs.append({"figures": figured - started, "all": whole, "cpu": time.process_time() - used, "statements": len(issued)})
        for run in [*runs, {name: statistics.median(run[name] for run in runs) for name in runs[0]}]:
            print("  ".join(f"{name} {figure:7.2f}" for name, figure in run.items()), "" if run in runs else "(median)")


if __name__ == "__main__":
    main()
