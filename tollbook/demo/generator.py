"""Write a workspace of a made-up fleet, day by day, with DuckDB.

First it is drawn who holds and uses what (``sql/world.sql``, ``requests.sql``, ``bills.sql``). Then the bills, logs and
samples are written that such a fleet leaves behind, with the dirt of real ones: tags missing and misspelt, GPUs shared
and idle, pods over midnight, jobs tried again, requests without a team. ``truth/`` says who really owes what, from what
was drawn and not from the bills. All shares are decimals of at most 12 digits, so the truth is exact.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from tollbook.demo import rules
from tollbook.sources.typing import text

_SQL = Path(__file__).parent / "sql"
_FEW = ("research", "search", "assistant", "platform")
_MANY = (*_FEW, *(f"team-{number:02d}" for number in range(5, 41)))

#: The first day, where none is named.
START = date(2026, 10, 1)

#: What lands in the workspace each day, by source; Slurm's is text.
SOURCES = ("cloud_bill", "onprem_ledger", "vendor_bill", "fleet", "k8s", "slurm", "gateway", "dcgm")


@dataclass(frozen=True)
class Scale:
    """A fleet's size; what happens is per day. A node has 8 GPUs; ``nodes`` is by pool, an even number for ``l40s``."""

    nodes: dict[str, int]
    sample_seconds: int
    requests: int
    billing_lines: int
    holdings: int
    teams: tuple[str, ...]

    @property
    def gpus(self) -> int:
        return 8 * sum(self.nodes.values())


SCALES = {
    "s": Scale({"h100": 3, "a10": 2, "a100": 1, "l40s": 2}, 60, 50_000, 20_000, 400, _FEW),
    "m": Scale({"h100": 51, "a10": 25, "a100": 25, "l40s": 24}, 30, 2_000_000, 200_000, 6_000, _MANY),
    "l": Scale({"h100": 510, "a10": 250, "a100": 250, "l40s": 240}, 30, 20_000_000, 2_000_000, 60_000, _MANY),
}


def generate(directory: Path, scale: str, days: int, seed: int, start: date = START) -> None:
    """Write ``tollbook.yml``, ``config/``, ``landing/<source>/<day>.*`` and ``truth/`` into ``directory``.

    The same arguments give the same rows, in the same order. Days are UTC; what still runs at the end of the last day
    has no end. All amounts are in USD. Of a month that is whole the providers have issued their invoices
    (``landing/invoices/<month>.parquet``), and their lines name them; of another none is issued yet.

    Raises:
        KeyError: no such scale.
        ValueError: ``days`` is less than 1.
    """
    world = SCALES[scale]
    if days < 1:
        raise ValueError(f"days must be at least 1, not {days}")
    directory.mkdir(parents=True, exist_ok=True)
    for source in SOURCES:
        (directory / "landing" / source).mkdir(parents=True, exist_ok=True)
    # what does not fit into memory waits on the workspace's own disk
    spill = Path(tempfile.mkdtemp(prefix=".demo-", dir=directory))
    try:
        with duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(spill)}) as db:
            _draw_world(db, world, days, seed, start)
            for day in range(days):
                _draw_day(db, day)
                for source in SOURCES:
                    _write(db, source, directory / "landing" / source / str(start + timedelta(days=day)))
            months = [month for (month,) in db.execute("select first_day from invoiced_months order by 1").fetchall()]
            for month in months:
                db.execute(f"set variable month = date '{month}'")
                (directory / "landing" / "invoices").mkdir(exist_ok=True)
                _write(db, "invoices", directory / "landing" / "invoices" / f"{month:%Y-%m}")
            _write_truth(db, directory)
        # last: a folder without settings is no workspace, and can be made again
        rules.write(directory, world.teams, start, is_invoiced=bool(months))
    finally:
        shutil.rmtree(spill)


def _draw_world(db: duckdb.DuckDBPyConnection, world: Scale, days: int, seed: int, start: date) -> None:
    variables = {
        "seed": f"{seed}::bigint",
        "start": f"date '{start}'",
        "days": f"{days}::bigint",
        "teams": f"[{', '.join(text(team) for team in world.teams)}]",
        "nodes": f"map {world.nodes}",
        "prices": f"{[dict(zip(rules.PRICE_COLUMNS, row, strict=True)) for row in rules.PRICES]}",
        "sample_seconds": f"{world.sample_seconds}::bigint",
        "requests_per_day": f"{world.requests}::bigint",
        "billing_lines_per_day": f"{world.billing_lines}::bigint",
        "holdings_per_day": f"{world.holdings}::bigint",
        "training_life": f"{rules.TRAINING_LIFE}::bigint",
    }
    for name, value in variables.items():
        db.execute(f"set variable {name} = {value}")
    db.execute("set TimeZone = 'UTC'")
    db.execute(_sql("world"))


def _draw_day(db: duckdb.DuckDBPyConnection, day: int) -> None:
    db.execute(f"set variable day = {day}::bigint")
    db.execute(_sql("requests"))
    db.execute(_sql("bills"))


def _write(db: duckdb.DuckDBPyConnection, source: str, path: Path) -> None:
    if source == "slurm":
        # each row is one line of text already: a delimiter that no line has, and no quotes
        options = "format csv, header, delimiter '\x1f', quote ''"
        path = path.with_name(path.name + ".txt")
    else:
        options = "format parquet, compression zstd"
        path = path.with_name(path.name + ".parquet")
    db.execute(f"copy ({_sql(source)}) to {text(str(path))} ({options})")


def _write_truth(db: duckdb.DuckDBPyConnection, directory: Path) -> None:
    """Write what is owed, held and used; ``totals.json`` sums it over all days, amounts as text."""
    folder = directory / "truth"
    folder.mkdir(exist_ok=True)
    for table in ("gpu_hours", "tokens", "team_costs", "training"):
        db.execute(f"create table truth_{table} as {_sql(f'truth_{table}')}")
        db.execute(f"copy (from truth_{table}) to {text(str(folder / f'{table}.parquet'))} (format parquet)")
    sums = {
        "costs": "select team, sum(cost) as cost from truth_team_costs group by all order by all",
        "gpu_layers": "select pool, layer, sum(gpu_seconds) as gpu_seconds, sum(gpu_seconds) / 3600 as gpu_hours,"
        " sum(cost) as cost from truth_gpu_hours group by all order by pool, layer",
        "models": "select model, sum(request_count) as request_count, sum(token_count) as token_count, sum(cost) as cost"
        " from truth_tokens group by model order by model",
    }
    totals = {name: db.sql(query) for name, query in sums.items()}
    rows = {name: [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()] for name, found in totals.items()}
    (folder / "totals.json").write_text(json.dumps(rows, indent=2, default=str) + "\n")


def _sql(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text()
