"""Metering and allocation of a day of samples, beside a query written by hand.

    python bench/meter.py l [--runs 3] [--workspace DIR] [--yardstick FILE]

Makes a demo fleet of one day and loads it (or takes a loaded DIR); then, in turn: a hand-written DuckDB script over the same samples in
Parquet, which removes repeated samples, sees gaps, joins holders by time and averages by GPU-hour (FILE prints its seconds per step; without
it the query below), and a build from nothing, of which the models of metering/ and allocation/ and fct_gpu_hours are summed. Prints seconds and peak memory of
both, and the ratio.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import builds
import duckdb

# each sample names its GPU and the pod that held it, as dcgm-exporter labels it
SAMPLES = """
copy (
    select
        sampled_at as ts, gpu_id as gpu_uuid, (sm_ratio * 100)::utinyint as sm_util,
        'pod-' || node || '-' || right(gpu_id, 1)::int // 2 || '-' || hour(sampled_at) // 2 as pod
    from '{landing}/dcgm/*.parquet'
) to '{folder}/samples.parquet' (compression zstd)
"""

BY_HAND = """
create temp table once as select gpu_uuid, ts, max(sm_util) as sm_util from 'samples.parquet' group by all;
create temp table standing as
select *, least(60, epoch(lead(ts) over (partition by gpu_uuid order by ts)) - epoch(ts)) as seconds from once;
create temp table held as select gpu_uuid, pod, min(ts) as started_at from 'samples.parquet' group by all;
create temp table hours as
select date_trunc('hour', ts) as hour, standing.gpu_uuid, held.pod, sum(sm_util * seconds) / sum(seconds) as busy, sum(seconds) as seen
from standing asof join held on standing.gpu_uuid = held.gpu_uuid and standing.ts >= held.started_at group by all
"""


def by_hand(folder: Path, yardstick: Path | None) -> float:
    """Seconds of the script, as it prints them, or of the query above."""
    if yardstick:
        said = subprocess.run([sys.executable, str(yardstick.resolve())], cwd=folder, check=True, capture_output=True, text=True).stdout
        return sum(float(seconds) for seconds in re.findall(r"([0-9.]+)s", said))
    started = time.perf_counter()
    with duckdb.connect(config={"threads": os.cpu_count() or 1, "preserve_insertion_order": False}) as db:
        db.execute(f"set file_search_path = '{folder}'")
        db.execute(BY_HAND)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scale", choices=["s", "m", "l"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workspace", type=Path, help="a demo fleet of the scale, loaded")
    parser.add_argument("--yardstick", type=Path, help="a script that prints its seconds, run where samples.parquet is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = options.workspace or Path(folder) / "fleet"
        if not options.workspace:
            builds.demo(workspace, options.scale)
        duckdb.execute(SAMPLES.format(landing=workspace / "landing", folder=folder))
        runs = []
        for _ in range(options.runs):
            hand = by_hand(Path(folder), options.yardstick)
            by_model, peak = builds.seconds_by_model(workspace)
            models = builds.of(by_model, "intermediate/(metering|allocation)/|fct_gpu_hours")
            runs.append((hand, models, models / hand, peak))
            print("by hand {:6.2f} s  models {:6.2f} s  ratio {:5.2f}  peak {:5.2f} GB".format(*runs[-1]), flush=True)
    print(
        "median:",
        "by hand {:6.2f} s  models {:6.2f} s  ratio {:5.2f}  peak {:5.2f} GB".format(*map(statistics.median, zip(*runs, strict=True))),
    )


if __name__ == "__main__":
    main()
