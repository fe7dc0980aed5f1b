"""What the readers of CI jobs share: options that say where a runner stands and what it has, and the SQL of them.

- ``node_from``: what of the runner's name is its node: ``runner`` (all of it, the default), ``none``, or a regular expression whose
  first group is the node.
- ``runners``: a map from a runner's label to what a job with this label holds there, as columns of ``holdings`` (``gpu_count``,
  ``gpu_share``, ``gpu_model``, ``gpu_profile``, ``gpu_memory_gb``, ``cpu_count``, ``memory_gb``, ``disk_gb``, ``pool``, ``cluster``).
  Of several labels that are in the map the first of the map counts. What no label tells is not known, not 0.
"""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from tollbook.errors import ConfigError
from tollbook.sources import records
from tollbook.sources.typing import text
from tollbook.workspace import Source

NUMBERS = ("gpu_count", "gpu_share", "gpu_memory_gb", "cpu_count", "memory_gb", "disk_gb")
NAMES = ("gpu_model", "gpu_profile", "pool", "cluster")


def open_jobs(db: duckdb.DuckDBPyConnection, file: Path, source: Source, labels: str) -> dict[str, str]:
    """Open ``file`` as ``records`` and ``delivery``; the SQL of what runners tell, for the reader's SELECT.

    ``labels``: the SQL list of a job's labels. The SELECT has its runner's name as ``runner``; it gets ``cluster`` (of the source),
    ``node``, ``resources`` (the columns of the option ``runners``, its pool and cluster as ``held_…``) and ``numbers`` (their names).

    Raises:
        ConfigError: an option that is not known or makes no sense.
        DeliveryError: unreadable file.
    """
    source.refuse_other_options("node_from", "runners")
    renamed = {"pool": "held_pool", "cluster": "held_cluster"}
    parts = {
        "cluster": text(source.cluster) if source.cluster else "null",
        "node": _node(source, "runner"),
        "resources": ", ".join(f"{sql} as {renamed.get(column, column)}" for column, sql in _resources(source, labels).items()),
        "numbers": ", ".join(NUMBERS),
    }
    records.open_records(db, file)
    db.execute("drop view if exists temp.delivery; create temp view delivery as select record, record_no as file_row from records")
    return parts


def _resources(source: Source, labels: str) -> dict[str, str]:
    """The SQL of each column that the option ``runners`` can give, for the SQL list ``labels``.

    Raises:
        ConfigError: the option is no map of maps, or names what is no column of it.
    """
    runners = source.option("runners", {})
    if not isinstance(runners, dict) or not all(isinstance(held, dict) for held in runners.values()):
        raise ConfigError(f"{source.name}: option runners must be a map such as {{gpu-a10: {{gpu_count: 1, cpu_count: 8}}}}.")
    for label, held in runners.items():
        unknown = sorted(set(held) - {*NUMBERS, *NAMES})
        if unknown:
            raise ConfigError(f"{source.name}: option runners, {label}: no {', '.join(unknown)}; it takes {', '.join((*NUMBERS, *NAMES))}.")
        wrong = [key for key in NUMBERS if key in held and (isinstance(held[key], bool) or not isinstance(held[key], int | float))]
        if wrong:
            raise ConfigError(f"{source.name}: option runners, {label}: {', '.join(wrong)} must be a number.")
    return {column: _of_label(runners, labels, column) for column in (*NUMBERS, *NAMES)}


def _node(source: Source, runner: str) -> str:
    """The SQL of the node that the SQL ``runner`` (its name) stands on.

    Raises:
        ConfigError: ``node_from`` is no regular expression with a group.
    """
    node_from = str(source.option("node_from", "runner"))
    if node_from in ("runner", "none"):
        return runner if node_from == "runner" else "null::varchar"
    try:
        groups = re.compile(node_from).groups
    except re.error as error:
        raise ConfigError(f"{source.name}: option node_from is {node_from!r}, which is no regular expression: {error}.") from error
    if not groups:
        raise ConfigError(
            f"{source.name}: option node_from is {node_from!r}; it must be runner, none, or have a group such as '^(.*)-runner'."
        )
    return f"nullif(regexp_extract({runner}, {text(node_from)}, 1), '')"


def _of_label(runners: dict, labels: str, column: str) -> str:
    # the first label of the map decides for every column, also for what it does not tell
    whens = [
        f"when list_contains({labels}, {text(str(label).casefold())}) then " + ("null" if column not in held else text(str(held[column])))
        for label, held in runners.items()
    ]
    return f"(case {' '.join(whens)} end)::varchar" if whens else "null::varchar"
