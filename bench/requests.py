"""From a day of requests to the marts of tokens, tenants and features, beside a query written by hand.

    python bench/requests.py l [--runs 3] [--workspace DIR]

Makes a demo fleet of one day and loads it (or takes a loaded DIR); then, in turn: a hand-written DuckDB script over the gateway's log in
Parquet, which counts a request that was sent twice once, sums what is told apart and takes the same percentiles; and a build from nothing, of which the
models of requests and their costs are summed. Prints seconds and peak memory of both, and the ratio.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import builds
import duckdb

BY_HAND = """
create temp table once as
select time, request, team, customer, feature, vendor, model, prompt_tokens, cached_tokens, completion_tokens, latency_s, status
from '{log}' qualify row_number() over (partition by request order by time) = 1;

create temp table days as
select vendor, model, lower(team) as team, customer, feature, status = 'ok' as worked, count(*) as n, sum(prompt_tokens) as read,
    sum(cached_tokens) as cached, sum(completion_tokens) as written, sum(latency_s) as latency
from once group by all;

create temp table percentiles as
select vendor, model, customer, feature, quantile_cont(latency_s, [0.5, 0.95, 0.99]), quantile_cont(prompt_tokens + completion_tokens, [0.5, 0.95])
from once group by grouping sets ((), (vendor), (model), (customer), (feature))
"""
# what leads to these marts; not the comparison with vendors' own counts, which reads the log once more
MODELS = (
    "intermediate/(requests|training)/|intermediate/unit/int_(token|model|supporting|request_|provisioned|charges)"
    "|product/fct_((token|tenant|feature)_costs|request_(stats|components))"
)


def by_hand(log: Path) -> float:
    """Seconds of the script."""
    started = time.perf_counter()
    with duckdb.connect(config={"threads": os.cpu_count() or 1, "preserve_insertion_order": False, "memory_limit": "4GB"}) as db:
        db.execute(f"set temp_directory = '{log.parent / 'spill'}'")
        db.execute(BY_HAND.format(log=log))
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scale", choices=["s", "m", "l"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workspace", type=Path, help="a demo fleet of the scale, loaded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = options.workspace or Path(folder) / "fleet"
        if not options.workspace:
            builds.demo(workspace, options.scale)
        (log,) = (workspace / "landing" / "gateway").glob("*.parquet")
        runs = []
        for _ in range(options.runs):
            hand = by_hand(log)
            by_model, peak = builds.seconds_by_model(workspace)
            models = builds.of(by_model, MODELS)
            runs.append((hand, models, models / hand, peak))
            print("by hand {:6.2f} s  models {:6.2f} s  ratio {:5.2f}  peak {:5.2f} GB".format(*runs[-1]), flush=True)
            for path, seconds in sorted(by_model.items(), key=lambda one: -one[1]):
                if seconds > 1 and builds.of({path: seconds}, MODELS):
                    print(f"    {seconds:6.2f} s  {Path(path).stem}")
    print(
        "median:",
        "by hand {:6.2f} s  models {:6.2f} s  ratio {:5.2f}  peak {:5.2f} GB".format(*map(statistics.median, zip(*runs, strict=True))),
    )


if __name__ == "__main__":
    main()
