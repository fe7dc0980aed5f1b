"""Slurm's JSON (``sacct --json``, ``sinfo --json``, ``scontrol show node --json``) as the temp table ``slurm_fields``.

The shape changes with the data parser of the version: a number is 7, or {"set": true, "infinite": false, "number": 7}; a state
is "IDLE", ["IDLE", "DRAIN"], or "idle" beside a list of flags; times are seconds since 1970, 0 where there is none. Sources:
sacct(1) on --json, Slurm's data_parser plugins v0.0.38 to v0.0.43, and the output of Slurm 22.05.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import DeliveryError
from tollbook.sources import files
from tollbook.sources.slurm_files import damaged
from tollbook.sources.typing import quoted, text

_LARGEST = 1 << 30


def open_answer(db: duckdb.DuckDBPyConnection, file: Path, lists: tuple[str, ...], mark: str) -> bool:
    """Make ``slurm_json`` (file_row, record, answer): the objects in the answer's list, numbered in the file's order.

    ``lists`` are the keys that the list may have; an object with the key ``mark`` outside of an answer is such a record itself.
    False where the objects are neither: then they are rows of fields.

    Raises:
        DeliveryError: unreadable, or an answer without the list (an error that the command printed).
    """
    size = file.stat().st_size
    if size == 0:
        raise DeliveryError(f"{file.name} is empty (0 bytes). Deliver it again; what was loaded before stays.")
    # one answer is one object; compressed ones are larger than their file
    largest = min(max(1 << 24, size * (1 if file.suffix.lower() == ".json" else 50)), _LARGEST)
    try:
        db.execute(
            "create or replace temp table slurm_answers as select place, unnest("
            "   if(json_type(json) = 'ARRAY', json::json[], [json])) as answer from ("
            "   select json, row_number() over () as place"
            f"  from read_json_objects({files.path_text(file)}, format = 'unstructured', maximum_object_size = {largest}))"
        )
    except duckdb.Error as error:
        raise damaged(file, error) from error
    found = " ".join(f"when json_type(answer, '$.{key}') = 'ARRAY' then (answer -> '$.{key}')::json[]" for key in lists)
    is_record = f"json_exists(answer, '$.{mark}')"
    kinds = db.execute(
        f"select bool_or({' or '.join(f'''json_type(answer, '$.{key}') = 'ARRAY' ''' for key in lists)}), bool_or({is_record}),"
        " any_value(answer -> '$.errors')::varchar from slurm_answers"
    ).fetchone()
    if not (kinds[0] or kinds[1]):
        if kinds[2] is not None:
            raise DeliveryError(
                f"{file.name} has none of the lists {', '.join(lists)}; its errors are {kinds[2][:300]}. Run the command again."
            )
        return False
    db.execute(
        "create or replace temp table slurm_json as select row_number() over () as file_row, record, answer"
        f" from (select unnest(case {found} when {is_record} then [answer] else [] end) as record,"
        # what the answer says of itself, without its list
        f" json_object('meta', answer -> '$.meta', 'last_update', answer -> '$.last_update') as answer from slurm_answers)"
    )
    db.execute(
        "drop table slurm_answers;"
        " create or replace temp table unread (file_row bigint, column_name varchar, value varchar, reason varchar);"
        " create or replace temp table skipped (file_row bigint, reason varchar)"
    )
    return True


def make_fields(db: duckdb.DuckDBPyConnection, wanted: dict, given: dict[str, str], more: str = "") -> set[str]:
    """Make ``slurm_fields`` from ``slurm_json`` by the SQL ``given`` for each name; ``more`` is a further query of the same columns."""
    fields = ", ".join(f"nullif(trim({given.get(name, 'null::varchar')}), '') as {quoted(name)}" for name in wanted)
    db.execute(f"create or replace temp table slurm_fields as select file_row, {fields} from slurm_json {more}")
    db.execute("drop table slurm_json")
    return set(given)


def _at(path: str) -> str:
    return f"record ->> {text('$.' + path)}"


_HET = "coalesce(slurm_json_number(record -> '$.het.job_id'), '0')"
_TASK = "slurm_json_number(record -> '$.array.task_id')"
_ARRAY = "slurm_json_number(record -> '$.array.job_id')"

#: the fields of sacct in a job of ``sacct --json``
JOBS = {
    "jobid": f"case when {_HET} <> '0' then {_HET} || '+' || slurm_json_number(record -> '$.het.job_offset')"
    f" when {_TASK} is not null and {_ARRAY} <> '0' then {_ARRAY} || '_' || {_TASK}"
    f" when {_ARRAY} <> '0' and {_at('array.task')} <> '' then {_ARRAY} || '_[' || ({_at('array.task')}) || ']'"
    f" else {_at('job_id')} end",
    "jobidraw": _at("job_id"),
    "cluster": f"coalesce(nullif({_at('cluster')}, ''), answer ->> '$.meta.slurm.cluster')",
    "partition": _at("partition"),
    "qos": _at("qos"),
    "account": _at("account"),
    "group": _at("group"),
    "user": f"coalesce(nullif({_at('user')}, ''), {_at('association.user')})",
    "submit": "slurm_json_time(record -> '$.time.submission')",
    "start": "slurm_json_time(record -> '$.time.start')",
    "end": "slurm_json_time(record -> '$.time.end')",
    "elapsedraw": "slurm_json_number(record -> '$.time.elapsed')",
    "state": "slurm_json_words(record -> '$.state.current', ',')",
    "nnodes": _at("allocation_nodes"),
    "reqcpus": "slurm_json_number(record -> '$.required.CPUs')",
    "reqmem": "coalesce(slurm_json_number(record -> '$.required.memory_per_cpu') || 'Mc',"
    " slurm_json_number(record -> '$.required.memory_per_node') || 'Mn')",
    "reqtres": "slurm_json_tres(record -> '$.tres.requested')",
    "alloctres": "slurm_json_tres(record -> '$.tres.allocated')",
    "nodelist": _at("nodes"),
    "jobname": _at("name"),
    "restarts": "slurm_json_number(record -> '$.restart_cnt')",
    "wckey": f"coalesce({_at('wckey.wckey')}, '')",
    "comment": _at("comment.job"),
    "admincomment": _at("comment.administrator"),
    "extra": _at("extra"),
    "reservation": f"nullif({_at('reservation.name')}, '0')",
}


def _one(path: str, whole: str) -> str:
    """The amount of each node where a record of sinfo stands for several: NULL where they differ."""
    low, high = (f"slurm_json_number(record -> '$.{path}.{bound}')" for bound in ("minimum", "maximum"))
    total = f"if(json_array_length(record -> '$.nodes.nodes') = 1, {_at(path + '.total')}, null)"
    return (
        f"if(json_type(record, '$.{path}') = 'OBJECT', coalesce(if({low} = coalesce({high}, {low}), {low}, null), {total}),"
        f" slurm_json_number(record -> '$.{whole}'))"
    )


#: the fields of a node in ``scontrol show node --json`` or ``sinfo --json``
NODES = {
    "node": f"coalesce({_at('name')}, slurm_json_words(record -> '$.nodes.nodes', ','))",
    "cluster": f"coalesce(nullif({_at('cluster_name')}, ''), nullif({_at('cluster')}, ''), answer ->> '$.meta.slurm.cluster')",
    "pool": f"coalesce(slurm_json_words(record -> '$.partitions', ','), {_at('partition.name')})",
    "state": "coalesce(slurm_json_words(record -> '$.node.state', '+'), slurm_json_words(record -> '$.state', '+')"
    " || coalesce('+' || nullif(slurm_json_words(record -> '$.state_flags', '+'), ''), ''))",
    "cpus": _one("cpus", "cpus"),
    "memory": _one("memory", "real_memory"),
    "disk": _one("disk", "temporary_disk"),
    "gres": f"coalesce({_at('gres.total')}, {_at('gres')})",
    "tres": _at("tres"),
    "reason_at": "coalesce(slurm_json_time(record -> '$.reason_changed_at'), slurm_json_time(record -> '$.reason.time'))",
    "boot_at": "slurm_json_time(record -> '$.boot_time')",
    "instance_id": _at("instance_id"),
    "instance_type": _at("instance_type"),
}


def batch_steps(wanted: dict) -> str:
    """The query of each job's batch step as a record of its own, as sacct's text has it."""
    step = {
        "jobid": "job_id || '.batch'",
        "jobidraw": "raw_id || '.batch'",
        "cluster": JOBS["cluster"],
        "start": "slurm_json_time(step -> '$.time.start')",
        "nodelist": "coalesce(step ->> '$.nodes.range', step ->> '$.nodes.list[0]')",
        "alloctres": "slurm_json_tres(step -> '$.tres.allocated')",
    }
    fields = ", ".join(f"nullif(trim({step.get(name, 'null::varchar')}), '') as {quoted(name)}" for name in wanted)
    return (
        f"union all select file_row, {fields} from (select file_row, record, answer, {JOBS['jobid']} as job_id,"
        f" {JOBS['jobidraw']} as raw_id, unnest((record -> '$.steps')::json[]) as step from slurm_json"
        " where json_type(record, '$.steps') = 'ARRAY') where step ->> '$.step.name' = 'batch'"
    )
