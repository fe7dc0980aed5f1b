"""Slurm's sacct text in the forms that sites produce, by example, and the real files."""

import gzip
import json
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import resources

import pytest
import yaml
from reader_rows import dictionaries, values

from tollbook.errors import TollbookError
from tollbook.sources import slurm_sacct
from tollbook.workspace import Source

JOB = {
    "JobID": "7", "JobIDRaw": "7", "User": "ada", "Account": "physics", "Partition": "gpu", "State": "COMPLETED",
    "Submit": "2026-03-01T09:00:00", "Start": "2026-03-01T10:00:00", "End": "2026-03-01T12:00:00",
    "Elapsed": "02:00:00", "NNodes": "1", "NCPUS": "8", "ReqMem": "16G", "ReqTRES": "cpu=8,gres/gpu=2,mem=16G,node=1",
    "AllocTRES": "billing=8,cpu=8,gres/gpu=2,mem=16G,node=1", "NodeList": "n1", "JobName": "train",
}  # fmt: skip
NINE, TEN, TWELVE = (datetime(2026, 3, 1, hour) for hour in (9, 10, 12))


def job(job_id="7", **changes):
    """JOB under another id, with changes; JobIDRaw is the same unless it is one of them."""
    return JOB | {"JobID": job_id, "JobIDRaw": job_id} | changes


def sacct(*jobs):
    """The lines that sacct prints for the jobs, with a header of all their fields."""
    fields = list(dict.fromkeys(field for one in jobs for field in one))
    return ["|".join(fields), *["|".join(one.get(field, "") for field in fields) for one in jobs]]


@pytest.fixture
def read(db, tmp_path):
    """Read lines as one file and compare what was refused; the holdings as dictionaries, by file_row and node."""

    def read(lines, refused=(), newline="\n", encoding="utf-8", **options):
        file = tmp_path / "sacct.txt"
        file.write_bytes((newline.join(lines) + newline).encode(encoding))
        rows = holdings(db, file, **options)
        assert db.execute("select * from unread order by file_row").fetchall() == list(refused)
        return rows

    return read


def slurm(**options):
    return Source(name="slurm", format="slurm_sacct", path="*.txt", **options)


def holdings(db, file, **options):
    result = db.execute(f"select * from ({slurm_sacct.project(db, file, slurm(**options), 'USD')}) order by file_row, node")
    return dictionaries(result)


def by_value(read, column, field, wanted, **changes):
    """Assert that jobs with these values in the field, one each, have the wanted values in the column."""
    rows = read(sacct(*[job(str(n)) | changes | {field: value} for n, value in enumerate(wanted)]))
    assert dict(zip(wanted, values(rows, column), strict=True)) == wanted


def test_a_job_holds_its_allocation_from_start_to_end(read):
    assert read(sacct(job()), cluster="research") == [
        {"holding_id": "7@1772359200", "job_id": "7", "attempt": 1, "holder_kind": "slurm_job"}  # 2026-03-01 10:00 UTC
        | {"name": "train", "cluster": "research", "pool": "gpu", "node": "n1", "account": "physics", "user_name": "ada"}
        | {"gpu_count": 2, "cpu_count": 8, "memory_gb": 16, "submitted_at": NINE, "started_at": TEN, "ended_at": TWELVE}
        | {"state": "COMPLETED", "outcome": "succeeded", "priority": None, "labels": "{}", "file_row": 1}
        | {"gpu_share": None, "gpu_model": None, "gpu_profile": None, "gpu_sharing": None}
    ]


def test_the_columns_are_the_canonical_ones(db, tmp_path):
    (tmp_path / "sacct.txt").write_text("\n".join(sacct(job())))
    select = slurm_sacct.project(db, tmp_path / "sacct.txt", slurm(), "USD")
    got = {name: kind.lower().replace(" ", "") for name, kind, *_ in db.execute(f"describe {select}").fetchall()}
    canonical = yaml.safe_load((resources.files("tollbook.sources") / "canonical.yml").read_text())["holdings"]["columns"]
    assert got.pop("file_row") == "bigint"
    assert got == {name: canonical[name]["type"] for name in got}


def test_labels_are_json_of_what_is_there(read):
    rows = read(sacct(job(QOS="high", Group='the "a" team', Comment="x", AllocTRES="gres/gpu:h100=2,gres/gpu:a100=1")))
    assert rows[0]["priority"] == "high"
    labels = {"qos": "high", "group": 'the "a" team', "comment": "x", "gpu_types": "a100=1,h100=2"}
    assert json.loads(rows[0]["labels"]) == labels


def test_outcomes(read):
    outcomes = {
        "COMPLETED": "succeeded", "FAILED": "failed", "NODE_FAIL": "failed", "OUT_OF_MEMORY": "failed",
        "BOOT_FAIL": "failed", "DEADLINE": "failed", "TIMEOUT": "timed_out", "CANCELLED": "cancelled",
        "CANCELLED by 423120": "cancelled", "CANCELLED+": "cancelled", "PREEMPTED": "preempted", "PENDING": "pending",
        "REQUEUED": "preempted", "RUNNING": "running", "SUSPENDED": "running", "COMPLETING": "running", "ODD": None, "": None,
    }  # fmt: skip
    by_value(read, "outcome", "State", outcomes)


def test_fields_come_in_any_order_case_and_subset(read):
    rows = read(["nodelist|STATE|End|start|jobid", "n4|FAILED|2026-03-01T12:00:00|2026-03-01T10:00:00|12"])
    assert values(rows, "holding_id", "node", "outcome", "started_at", "ended_at") == [("12@1772359200", "n4", "failed", TEN, TWELVE)]
    # a file that tells nothing of GPUs does not say zero
    assert values(rows, "gpu_count", "cpu_count", "memory_gb") == [(None, None, None)]
    # --parsable ends each line with a bar
    assert values(read([line + "|" for line in sacct(job(), job("8", JobName=""))]), "name", "gpu_count") == [("train", 2), (None, 2)]


def test_without_a_header_26_fields_are_in_xdmods_order(read):
    line = (
        "41|42|ub|general|qos1|acct|grp|103|hanx|102|2026-03-01T09:00:00|2026-03-01T09:00:01|2026-03-01T10:00:00|"
        "2026-03-01T12:00:00|02:00:00|0:0|CANCELLED by 102|3|36|36|48000Mn||cpu=36,node=3|3-00:00:00|k[1-3]|floors"
    )
    for end in ("", "|"):
        rows = read([line + end])
        assert values(rows, "node", "file_row", "cpu_count") == [("k1", 1, 12), ("k2", 1, 12), ("k3", 1, 12)]
        seen = set(values(rows, "job_id", "holding_id", "cluster", "user_name", "started_at", "ended_at", "name"))
        assert seen == {("41", "42@1772359200", "ub", "hanx", TEN, TWELVE, "floors")}


def test_columns_name_the_fields_of_a_file_without_header(read):
    line = "5|2026-03-01T10:00:00|2026-03-01T12:00:00|4|prep"
    for columns in (["JobID", "Start", "End", "NCPUS", "JobName%30"], ["jobid", "start", "end", "ncpus", "jobname"]):
        rows = read([line + "|"], columns=columns)
        assert values(rows, "job_id", "cpu_count", "name", "file_row") == [("5", 4, "prep", 1)]


def test_quotes_line_ends_marks_blank_lines_and_bytes_are_no_matter(read):
    lines = sacct(job(JobName='say "hi'), job("8", JobName='"'), job("9", JobName="é"))
    lines.insert(2, "")
    for encoding in ("utf-8-sig", "utf-8", "latin-1"):
        rows = read(lines, newline="\r\n", encoding=encoding)
        assert values(rows, "file_row", "name") == [(1, 'say "hi'), (3, '"'), (4, "é")]


def test_a_compressed_file_is_read_whole_or_not_at_all(db, tmp_path):
    whole = gzip.compress("\n".join(sacct(*[job(str(n)) for n in range(500)])).encode())
    file = tmp_path / "sacct[1]*.txt.gz"  # a name, not the pattern of another's
    file.write_bytes(whole)
    (tmp_path / "sacct1.txt.gz").write_bytes(whole)
    assert len(holdings(db, file)) == 500
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TollbookError, match=r"sacct\[1\]\*\.txt\.gz cannot be read"):
        slurm_sacct.project(db, file, slurm(), "USD")


def test_steps_hold_nothing_of_their_own(read, db):
    tasks = [job("9_1", JobIDRaw="9"), job("9_1.batch", JobIDRaw="9.batch"), job("20+1", JobIDRaw="21"), job("20+1.0")]
    rows = read(sacct(job(), job("7.batch"), job("7.extern"), job("7.0"), *tasks))
    assert values(rows, "job_id", "holding_id", "cpu_count") == [
        ("7", "7@1772359200", 8), ("9_1", "9@1772359200", 8), ("20+1", "21@1772359200", 8),
    ]  # fmt: skip
    assert db.execute("select file_row from skipped order by 1").fetchall() == [(2,), (3,), (4,), (6,), (8,)]
    # a step whose job is not there is refused
    reason = "is a step whose job is not in the file; the job's own record tells what was held"
    refused = [(2, "JobID", "7.0", reason), (3, "JobID", "6.batch", reason)]
    read(sacct(job(Cluster="a"), job("7.0", Cluster="b"), job("6.batch", Cluster="a")), refused)


def test_pending_jobs_are_held_by_nobody(read):
    pending = {"State": "PENDING", "End": "Unknown", "NodeList": "None assigned", "AllocTRES": "", "ReqCPUS": "4"}
    task, rest = job("50_9", JobIDRaw="50"), job("50_[10-12]", JobIDRaw="50", Start="Unknown", **pending)
    names = ("holding_id", "job_id", "attempt", "outcome", "submitted_at", "started_at", "node", "gpu_count", "cpu_count")
    assert values(read(sacct(task, rest, job("51", **pending))), *names) == [
        ("50@1772359200", "50_9", 1, "succeeded", NINE, TEN, "n1", 2, 8),
        ("50", "50_[10-12]", 1, "pending", NINE, None, None, 2, 4),  # what it asks for
        ("51", "51", 1, "pending", NINE, None, None, 2, 4),  # its start is a forecast
    ]


def test_a_job_cancelled_before_it_started_holds_nothing(read):
    never = {"State": "CANCELLED by 17", "NodeList": "None assigned", "Elapsed": "00:00:00"}
    rows = read(sacct(job("1", Start="None", **never), job("2", Start=JOB["End"], **never)))
    # older versions of Slurm give it a start that is its end
    assert values(rows, "started_at", "ended_at", "node", "outcome") == [
        (None, TWELVE, None, "cancelled"), (None, TWELVE, None, "cancelled"),
    ]  # fmt: skip


def test_a_requeued_job_has_an_attempt_per_start(read):
    second = job(Start="2026-03-01T13:00:00", End="2026-03-01T14:00:00", Elapsed="01:00:00")
    rows = read(sacct(second, job(State="PREEMPTED"), job("8")))
    assert values(rows, "holding_id", "attempt", "outcome") == [
        ("7@1772370000", 2, "succeeded"), ("7@1772359200", 1, "preempted"), ("8@1772359200", 1, "succeeded"),
    ]  # fmt: skip
    # the same id where the file has only one of them, and the number where Slurm tells it
    assert values(read(sacct(second | {"Restarts": "3"})), "holding_id", "attempt") == [("7@1772370000", 4)]


def test_the_later_record_of_one_attempt_counts(read):
    running = job(State="RUNNING", End="Unknown", Elapsed="00:30:00")
    refused = [
        (1, "JobID", "7", "is superseded by row 3, a later record of the same job and start"),
        (4, "Start", "2026-03-01T25:00:00", "is not a time"),
    ]
    rows = read(sacct(running, job("7.0"), job(), job(Start="2026-03-01T25:00:00")), refused)
    assert values(rows, "file_row", "outcome", "attempt") == [(3, "succeeded", 1)]
    # one id on two clusters is two jobs
    rows = read(sacct(job(Cluster="a"), job(Cluster="b"), job()), cluster="c")
    assert values(rows, "cluster", "attempt") == [("a", 1), ("b", 1), ("c", 1)]


def test_an_end_that_is_not_known(read):
    ends = {"RUNNING": None, "SUSPENDED": None, "COMPLETING": None, "NODE_FAIL": TWELVE, "TELEPORTED": TWELVE}
    by_value(read, "ended_at", "State", ends, End="Unknown")
    # an end that is known stands where Elapsed differs: this job was suspended for 45 minutes
    assert values(read(sacct(job(Elapsed="01:15:00"))), "ended_at") == [TWELVE]


def test_elapsed_in_its_forms(read):
    forms = {"7-20:39:39": 679179, "125:00:00": 450000, "02:03": 123, "0:1.5": 1.5, "1-00:00:00.25": 86400.25, "90": 90}
    ends = {text: TEN + timedelta(seconds=seconds) for text, seconds in forms.items()}
    by_value(read, "ended_at", "Elapsed", ends, End="Unknown")


def test_times_are_local_to_the_cluster(read):
    rows = read(sacct(job(), job(Start="2026-07-01T10:00:00", End="2026-07-01T12:00:00")), timezone="Europe/Berlin")
    assert values(rows, "holding_id", "submitted_at", "started_at", "ended_at") == [
        ("7@1772355600", datetime(2026, 3, 1, 8), NINE, datetime(2026, 3, 1, 11)),
        ("7@1782892800", datetime(2026, 3, 1, 8), datetime(2026, 7, 1, 8), datetime(2026, 7, 1, 10)),
    ]
    rows = read(sacct(job(Start="1772359200", End="2026-03-01T13:00:00+0100")), timezone="Asia/Tokyo")
    assert values(rows, "started_at", "ended_at") == [(TEN, TWELVE)]


def test_elapsed_decides_in_the_hour_that_comes_twice(read):
    # 2026-10-25: at 03:00 CEST (01:00 UTC) clocks go back to 02:00
    records = [
        ("01:30", "02:10", "00:40:00", "23:30", "00:10"), ("01:30", "02:10", "01:40:00", "23:30", "01:10"),
        ("02:50", "02:10", "00:20:00", "00:50", "01:10"), ("02:10", "02:50", "01:40:00", "00:10", "01:50"),
        ("02:30", "04:00", "02:30:00", "00:30", "03:00"), ("02:30", "04:00", "01:30:00", "01:30", "03:00"),
    ]  # fmt: skip
    day = "2026-10-25T{}:00".format
    jobs = [job(str(n), Start=day(one[0]), End=day(one[1]), Elapsed=one[2]) for n, one in enumerate(records)]
    times = values(read(sacct(*jobs), timezone="Europe/Berlin"), "started_at", "ended_at")
    assert [(f"{start:%H:%M}", f"{end:%H:%M}") for start, end in times] == [one[3:] for one in records]


def test_gpus_of_alloctres(read):
    gpus = {
        "": 0, "cpu=8,mem=16G,node=1": 0, "cpu=8,gres/gpu=4": 4, "gres/gpu:a100=2,mem=16G": 2, "gres/gpu:tesla:2": 2,
        "cpu=8,gres/gpu=4,gres/gpu:a100=4": 4, "gres/gpu:a100=2,gres/gpu:v100=3": 5, "gres/gpu:1g.5gb=2": 2,
        "gres/gpu=5,gres/gpu:a100=2,gres/gpu:v100=3": 5, "gres/gpumem=40G,gres/gpuutil=90": 0, "gres/gpu:1080=3": 3,
        "gres/gpu=1,gres/gpumem=40G,gres/gpuutil=90,gres/shard=4": 1,
    }  # fmt: skip
    by_value(read, "gpu_count", "AllocTRES", gpus)


def test_gpus_of_allocgres_where_alloctres_has_none(read):
    gpus = {
        "": 0, "gpu:2": 2, "gpu": 1, "gpu:a100": 1, "gpu:a100:2": 2, "gpu:p100:2(IDX:0-1)": 2, "craynetwork:1,gpu:1": 1,
        "gpu:a100:2(S:0,1),gpu:v100:1(S:0)": 3, "7696487:2": 2,
    }  # fmt: skip
    by_value(read, "gpu_count", "AllocGRES", gpus, AllocTRES="cpu=8", NNodes="4", ReqGRES="gpu:2")


def test_what_was_asked_for_counts_only_where_no_allocation_is_told(read):
    asked = {"Start": JOB["Start"], "End": JOB["End"], "NNodes": "2", "NodeList": "n[1-2]"}
    tres, gres = {"ReqTRES": "cpu=8,gres/gpu=6", "ReqGRES": "gpu:4"}, {"ReqTRES": "cpu=8", "ReqGRES": "gpu:4"}
    rows = read(sacct({"JobID": "1"} | asked | tres, {"JobID": "2"} | asked | gres, {"JobID": "3"} | asked))
    # ReqTRES is of the job, ReqGRES of each node
    assert values(rows, "job_id", "gpu_count") == [("1", 3), ("1", 3), ("2", 4), ("2", 4), ("3", 0), ("3", 0)]
    assert values(read(sacct(job(AllocTRES="", ReqGRES="gpu:4"))), "gpu_count") == [0]


def test_cpus_and_memory_in_gb_of_1024_mb(read):
    by_value(read, "cpu_count", "NCPUS", {"10": 10, "2K": 2048, "": 8})
    by_value(read, "cpu_count", "AllocCPUS", {"12": 12, "": 8})
    held = {"mem=48000M": "46.875", "cpu=8,mem=125G": "125", "mem=1.50T": "1536", "mem=512K": "0.000488", "mem=2048": "2"}
    by_value(read, "memory_gb", "AllocTRES", {tres: Decimal(memory) for tres, memory in held.items()})
    asked = {"3000Mc": Decimal("23.4375"), "48000Mn": Decimal("93.75"), "4G": 4, "?": None}
    by_value(read, "memory_gb", "ReqMem", asked, AllocTRES="", NNodes="2")  # 8 CPUs


def test_node_lists(read, db):
    lists = {
        "n1": "n1", "a1,b2": "a1 b2", "n[8-11]": "n8 n9 n10 n11", "n[098-101]": "n098 n099 n100 n101",
        "d07n07s02,d09n04s[01-02],d13n[03,07-08,16]": "d07n07s02 d09n04s01 d09n04s02 d13n03 d13n07 d13n08 d13n16",
        "r[1-2]n[01-03]": "r1n01 r1n02 r1n03 r2n01 r2n02 r2n03", "r[1-2]n[1,3]-ib": "r1n1-ib r1n3-ib r2n1-ib r2n3-ib",
        "gpu-[1-2].site.org,login": "gpu-1.site.org gpu-2.site.org login",
    }  # fmt: skip
    read(sacct(*[job(str(n), NodeList=nodes) for n, nodes in enumerate(lists)]))
    lists.pop("n1")  # needs no expansion
    assert dict(db.execute("select list, array_to_string(nodes, ' ') from slurm_hosts").fetchall()) == lists


def test_amounts_are_spread_in_whole_numbers_that_add_up(read):
    rows = read(sacct(job(NNodes="3", NCPUS="32", AllocTRES="gres/gpu=4,mem=100G", NodeList="n[2-3],n1")))
    assert values(rows, "holding_id", "node", "gpu_count", "cpu_count", "memory_gb") == [
        ("7@1772359200", "n1", 1, 10, Decimal("33.333333")),
        ("7@1772359200", "n2", 2, 11, Decimal("33.333334")),
        ("7@1772359200", "n3", 1, 11, Decimal("33.333333")),
    ]


def test_gpus_without_cpus_and_jobs_without_nodes_stay(read):
    empty = [job(str(n), NodeList=nodes) for n, nodes in enumerate(("None assigned", "", "(null)"))]
    rows = read(sacct(job("9", NCPUS="0", NNodes="0", AllocTRES="gres/gpu=2", ReqMem="0n", NodeList="c-1,c-2"), *empty))
    assert values(rows, "node", "gpu_count", "cpu_count", "memory_gb") == [
        ("c-1", 1, 0, 0), ("c-2", 1, 0, 0), (None, 2, 8, 16), (None, 2, 8, 16), (None, 2, 8, 16),
    ]  # fmt: skip


def test_bad_records_are_refused_with_row_column_and_value(read):
    faults = {
        "is not the id of a job": {"JobID": ["train"]},
        "is not a time": {"Start": ["yesterday", "infinity"], "End": ["2026-02-30T10:00:00"], "Submit": ["12"]},
        "ends before it starts": {"End": ["2026-03-01T09:59:59"]},
        "is negative": {"Elapsed": ["-00:00:05"]},
        "is not a duration": {"Elapsed": ["INVALID"]},
        "is not a count of nodes": {"NNodes": ["two"]},
        "is not a count of CPUs": {"NCPUS": ["-8", "1.5", "9" * 30]},
        "counts GPUs in a way that is not known": {"AllocTRES": ["gres/gpu=-2", "gres/gpu:a100=x"]},
        "is not a list of nodes": {"NodeList": ["n[1-", "n[3-1]", "n[1-99999999]", "r[1-999]n[1-999]", "n1,,n2", "n1 n2"]},
    }
    refused = [(column, bad, why) for why, places in faults.items() for column, all_bad in places.items() for bad in all_bad]
    jobs = [job("1"), *[job("2") | {column: value} for column, value, _ in refused], job("3")]
    assert values(read(sacct(*jobs), [(row, *fault) for row, fault in enumerate(refused, 2)]), "job_id") == ["1", "3"]
    end = "is not known, and Elapsed neither, though the job is over"
    refused = [(1, "JobID", None, "is not the id of a job"), (2, "End", None, end)]
    assert read(sacct(job(""), job(End="Unknown", Elapsed="")), refused) == []


def test_a_bar_in_a_name_is_refused_not_guessed(read):
    reason = "has {} fields where {} are expected; Slurm does not escape a delimiter or a line break in a field such as JobName".format
    refused = [(1, "", "7|a|b|2026-03-01T10:00:00|", reason(5, 4)), (3, "", "the rest of a name", reason(1, 4))]
    lines = ["JobID|JobName|Start|End", "7|a|b|2026-03-01T10:00:00|", "8|a||", "the rest of a name"]
    assert values(read(lines, refused), "job_id") == ["8"]
    # nor does it decide the layout where it comes first
    line = "1|1" + "|" * 10 + "|2026-03-01T10:00:00" * 2 + "|" * 12
    bad, good = line + "a|b", line + "a"
    assert values(read([bad, good, "2" + good[1:]], [(1, "", bad, reason(27, 26))]), "file_row") == [2, 3]


def test_every_record_is_loaded_refused_or_skipped(read, db, tmp_path):
    lines = sacct(job("1", NodeList="n[1-2]"), job("1.0"), job("2.0"), job("3"), job("3"), job("4", Start="x"))
    (tmp_path / "all.txt").write_text("\n".join([*lines, lines[0], "junk", lines[1]]))
    loaded = set(values(holdings(db, tmp_path / "all.txt"), "file_row"))
    others = db.execute("select file_row from unread union all select file_row from skipped").fetchall()
    assert sorted([*loaded, *[row for (row,) in others]]) == list(range(1, 10))
    # the next file starts afresh, and a header alone is a day without jobs
    assert read(lines[:1]) == []


def test_files_that_make_no_sense_say_what_to_do(db, tmp_path):
    for content, options, message in (
        ("\n  \n", {}, "today.txt is empty"),
        ("JobID Start End\n----- ----- ---\n1 2026-03-01T10:00:00 Unknown\n", {}, "today.txt has no header with.*--parsable2"),
        ("User,Start,End\n1,2026-03-01T10:00:00,Unknown\n", {}, "today.txt has no column jobid or jobidraw"),
        ("1|2026-03-01T10:00:00|Unknown\n", {}, "today.txt has no header.* 3 fields a line.*columns"),
        ("1|2\n", {"columns": ["JobID", "Start", "End"]}, "today.txt has no header.* 2 fields a line, but 3 columns are named"),
        ("JobID|State|End\n1|COMPLETED|2026-03-01T11:00:00\n", {}, "today.txt has no field Start"),
        ("JobID|State|Start\n1|COMPLETED|2026-03-01T11:00:00\n", {}, "today.txt has no field End or Elapsed"),
        ("JobID|Start|End\n", {"timezone": "Mars/Olympus"}, "timezone 'Mars/Olympus' is unknown"),
    ):
        (tmp_path / "today.txt").write_text(content)
        with pytest.raises(TollbookError, match=message):
            slurm_sacct.project(db, tmp_path / "today.txt", slurm(**options), "USD")


def test_the_batch_step_tells_what_the_first_node_gave(read):
    # a job of three GPUs on two nodes, and again after a requeue; as Slurm 22.05 wrote them
    one = job("2", NNodes="2", NCPUS="2", NodeList="n[1-2]", AllocTRES="cpu=2,gres/gpu:a100=3,gres/gpu=3,mem=200M")
    again = one | {"Start": "2026-03-01T13:00:00", "End": "2026-03-01T14:00:00", "Elapsed": "01:00:00"}
    batch = job("2.batch", NNodes="1", NCPUS="1", AllocTRES="cpu=1,gres/gpu:a100=2,gres/gpu=2,mem=100M")
    names = ("holding_id", "node", "gpu_count", "gpu_model", "cpu_count", "memory_gb")
    one_mb = Decimal("0.097656"), Decimal("0.097657")
    assert values(read(sacct(batch, one, again)), *names) == [
        ("2@1772359200", "n1", 2, "a100", 1, one_mb[0]), ("2@1772359200", "n2", 1, "a100", 1, one_mb[1]),
        ("2@1772370000", "n1", 2, "a100", 1, one_mb[1]), ("2@1772370000", "n2", 1, "a100", 1, one_mb[0]),
    ]  # fmt: skip
    # it can be any node of the list; the others share the rest
    three = one | {"NodeList": "n[0-2]", "NCPUS": "9", "AllocTRES": "cpu=9,gres/gpu=7", "ReqMem": ""}
    first = batch | {"NCPUS": "1", "AllocTRES": "cpu=1,gres/gpu=1", "ReqMem": ""}
    assert values(read(sacct(three, first)), "node", "gpu_count", "cpu_count") == [("n0", 3, 4), ("n1", 1, 1), ("n2", 3, 4)]
    # one that tells nothing of GPUs, or of more than the job had, tells nothing
    for tres in ("cpu=1", "cpu=10,gres/gpu=1"):
        rows = read(sacct(three, first | {"AllocTRES": tres, "NCPUS": ""}))
        assert values(rows, "node", "gpu_count", "cpu_count") == [("n0", 3, 3), ("n1", 2, 3), ("n2", 2, 3)]


def test_a_mig_slice_is_no_gpu(read):
    slices = {
        "gres/gpu:3g.20gb=2": ("3g.20gb", None), "gres/gpu=2,gres/gpu:a100_3g.20gb=2": ("3g.20gb", "a100"),
        "gres/gpu:nvidia_a100_1c.3g.20gb=2": ("1c.3g.20gb", "nvidia_a100"), "gres/gpu:H100_1g_10gb=2": ("1g.10gb", "H100"),
        "gres/gpu:a100-mig-1g.10gb+me=2": ("1g.10gb+me", "a100"), "gres/gpu:a100=2": (None, "a100"), "gres/gpu=2": (None, None),
    }  # fmt: skip
    rows = read(sacct(*[job(str(n), AllocTRES=tres) for n, tres in enumerate(slices)]))
    assert dict(zip(slices, values(rows, "gpu_profile", "gpu_model"), strict=True)) == slices
    assert set(values(rows, "gpu_count")) == {2}
    assert values(rows, "gpu_sharing") == ["mig"] * 5 + [None] * 2


def test_several_profiles_are_several_holdings(read):
    rows = read(sacct(job(AllocTRES="cpu=8,mem=16G,gres/gpu=6,gres/gpu:a100=1,gres/gpu:a100_1g.5gb=2,gres/gpu:a100_3g.20gb=2")))
    # a sixth GPU has no type: that of the whole ones is not known
    assert values(rows, "holding_id", "gpu_profile", "gpu_model", "gpu_count", "cpu_count", "memory_gb") == [
        ("7@1772359200", None, None, 2, 8, 16), ("7@1772359200+1g.5gb", "1g.5gb", "a100", 2, 0, 0),
        ("7@1772359200+3g.20gb", "3g.20gb", "a100", 2, 0, 0),
    ]  # fmt: skip
    assert set(values(rows, "job_id", "attempt")) == {("7", 1)}


def test_shards_and_mps_are_shares_of_gpus(read):
    shares = {
        "gres/shard=2": (1, Decimal("0.25"), "time_slicing"), "gres/shard:t4=12": (2, Decimal("0.75"), "time_slicing"),
        "gres/mps=50": (1, Decimal("0.5"), "mps"), "gres/gpu=1,gres/shard=8": (1, None, None), "gres/shard=0": (0, None, None),
    }  # fmt: skip
    rows = read(sacct(*[job(str(n), AllocTRES=tres) for n, tres in enumerate(shares)]), options={"shards_per_gpu": 8})
    assert dict(zip(shares, values(rows, "gpu_count", "gpu_share", "gpu_sharing"), strict=True)) == shares
    assert values(rows, "gpu_model")[1] == "t4"
    reason = "holds shards, but option shards_per_gpu of the source does not say how many make a GPU"
    assert read(sacct(job(AllocTRES="gres/shard=2")), [(1, "AllocTRES", "gres/shard=2", reason)]) == []
    with pytest.raises(TollbookError, match=r"shards_per_gpu is 0.*whole number from 1"):
        read(sacct(job()), options={"shards_per_gpu": 0})


def test_any_delimiter_and_tables_of_the_same_fields(read, db, tmp_path):
    # with one that nobody writes, a name may have a bar
    lines = [line.replace("|", "^_^").replace("train", "a|b") for line in sacct(job(), job("8"))]
    assert values(read(lines), "name", "gpu_count") == [("a|b", 2), ("a|b", 2)]
    for delimiter in ("\t", "\x1f", ";", "~"):
        assert values(read([line.replace("|", delimiter) for line in sacct(job())]), "name", "gpu_count") == [("train", 2)]
    names, cells = ", ".join(f'"{name}"' for name in JOB), ", ".join(f"'{value}'" for value in JOB.values())
    db.execute(f"create table one as select * from (values ({cells})) as one ({names})")
    for name in ("one.csv", "one.parquet", "one.json"):
        db.execute(f"copy one to '{tmp_path / name}'")
        assert values(holdings(db, tmp_path / name), "holding_id", "gpu_count", "memory_gb") == [("7@1772359200", 2, 16)]


def test_pozidriv_has_every_job_and_cpu_hour(db, shared_data):
    db.execute(f"create table jobs as {slurm_sacct.project(db, shared_data / 'slurm_sacct' / 'pozidriv.log', slurm(), 'USD')}")
    sums = "count(distinct job_id), round(sum(cpu_count * epoch(ended_at - started_at)) / 3600, 6) as cpu_hours from jobs"
    every = f"select count(distinct file_row), count(distinct holding_id), {sums}"
    assert db.execute(every).fetchall() == [(11704, 11704, 11704, 71984.276389)]
    assert db.execute(
        "select sum(gpu_count), min(submitted_at), max(ended_at), count(distinct account), count(distinct user_name) from jobs"
    ).fetchall() == [(0, datetime(2016, 12, 21, 21, 43, 34), datetime(2017, 1, 1, 23, 51, 25), 7, 18)]
    assert db.execute(f"select outcome, {sums} group by 1 order by 1").fetchall() == [
        ("cancelled", 468, 5342.55), ("failed", 1007, 416.181111), ("preempted", 86, 156.735556),
        ("succeeded", 10134, 57076.246389), ("timed_out", 9, 8992.563333),
    ]  # fmt: skip
    assert db.execute(f"select account, {sums} group by 1 order by cpu_hours desc limit 5").fetchall() == [
        ("calla", 6787, 26233.152222), ("taifl", 4722, 25358.411944), ("caste", 47, 11206.745),
        ("balsh", 128, 6016.887778), ("savwa", 1, 2013.966667),
    ]  # fmt: skip
    assert db.execute("select count(*) from unread").fetchone() == (0,)


def test_accounting_logs_have_every_node(db, shared_data):
    select = slurm_sacct.project(db, shared_data / "slurm_sacct" / "accounting-logs.log", slurm(), "USD")
    assert db.execute(
        "select job_id, state, count(distinct node), sum(cpu_count), sum(gpu_count), sum(memory_gb),"
        f" any_value(epoch(ended_at - started_at)) from ({select}) group by all order by job_id"
    ).fetchall() == [
        ("4103947", "TIMEOUT", 32, 256, 0, Decimal("2.929688"), 259200),  # mem=3000M is 2.9296875 GB
        ("4107166", "CANCELLED by 102216", 3, 36, 0, Decimal("46.875"), 252184),
        ("4107219", "COMPLETED", 4, 48, 0, Decimal("140.625"), 50449), ("5692623", "COMPLETED", 2, 0, 2, 0, 0),
    ]  # fmt: skip


def test_gpus_are_counted_as_xdmod_counts_them(read, shared_data):
    pairs = json.loads((shared_data / "slurm_sacct" / "alloc-tres-gpu-count.json").read_text())
    assert len(pairs) == 9
    by_value(read, "gpu_count", "AllocTRES", dict(pairs))
