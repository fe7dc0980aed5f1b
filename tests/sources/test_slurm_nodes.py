"""Slurm's nodes and node events in the forms that its commands print, by example."""

import json
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import yaml
from reader_rows import dictionaries, values

from tollbook.errors import TollbookError
from tollbook.sources import slurm_events, slurm_nodes
from tollbook.workspace import Source, canonical_tables

MARCH = datetime(2026, 3, 1)
BOOT = datetime(2026, 2, 20, 8)


def block(name="g01", state="IDLE", gres="gpu:a100:4(S:0-1)", behind="", **changes):
    """A node as `scontrol show node` prints it."""
    keys = {"CfgTRES": "cpu=64,mem=512000M,billing=64", "RealMemory": "512000", "Partitions": "gpu,all", "CPUTot": "64"} | changes
    return (
        f"NodeName={name} Arch=x86_64 CoresPerSocket=32 \n   CPUAlloc=0 CPUEfctv=62 CPUTot={keys['CPUTot']} CPULoad=0.13\n"
        f"   AvailableFeatures=(null)\n   Gres={gres}\n   NodeAddr=10.0.0.1 NodeHostName={name} Port=6818 Version=24.05.1\n"
        f"   OS=Linux 6.1.0 #1 SMP PREEMPT_DYNAMIC\n   RealMemory={keys['RealMemory']} AllocMem=0 FreeMem=5000 Sockets=2 Boards=1\n"
        f"   State={state} ThreadsPerCore=1 TmpDisk=1024 Weight=1 Owner=N/A MCS_label=N/A\n   Partitions={keys['Partitions']} \n"
        f"   BootTime=2026-02-20T08:00:00 SlurmdStartTime=2026-02-20T08:01:00\n   CfgTRES={keys['CfgTRES']}\n   AllocTRES=\n{behind}\n"
    )


@pytest.fixture
def read(db, tmp_path):
    """Read a text as one file; the rows as dictionaries, by file_row and start; what was refused must be as said."""

    def read(content, reader=slurm_nodes, name="nodes.txt", refused=(), timezone="UTC", cluster=None, columns=None, **options):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        kind = reader.__name__.rsplit(".", 1)[1]
        source = Source(name="s", format=kind, path="x", timezone=timezone, cluster=cluster, columns=columns, options=options)
        select = reader.project(db, tmp_path / name, source, "USD")
        assert {row[0] for row in db.execute(f"describe {select}").fetchall()} - {"file_row"} <= set(CAPACITY)
        result = db.execute(f"select * from ({select}) order by file_row, node, started_at")
        rows = dictionaries(result)
        assert db.execute("select * from unread order by file_row").fetchall() == list(refused)
        return rows

    return read


CAPACITY = canonical_tables()["capacity"]["columns"]


def test_a_node_of_scontrol(read):
    assert read(block(), cluster="tiny") == [
        {"cluster": "tiny", "pool": "gpu", "node": "g01", "gpu_model": "a100", "gpu_count": 4, "cpu_count": 64, "memory_gb": 500}
        | {"disk_gb": 1, "sku": None, "resource_id": None, "state": "up", "started_at": BOOT, "ended_at": None, "file_row": 1}
    ]
    # one line each (-o), and since when they exist
    lines = "\n".join(" ".join(block(name).split("\n")) for name in ("g01", "g02"))
    assert values(read(lines, since="2026-01-01"), "node", "started_at") == [("g01", datetime(2026, 1, 1)), ("g02", datetime(2026, 1, 1))]
    # on Slurm's clock; YAML makes a date of it
    since = yaml.safe_load("2026-01-01")
    assert values(read(lines, since=since, timezone="Europe/Berlin"), "started_at") == [datetime(2025, 12, 31, 23)] * 2


def test_a_node_that_cannot_be_used_has_a_row_from_its_reason_on(read):
    reason = "   Reason=fan [3] State=IDLE [root@2026-03-01T09:00:00]\n   Comment=mind InstanceType=none\n"
    rows = read(block("g01") + block("g02", "IDLE+DRAIN", behind=reason) + block("g03", "DOWN*", behind=reason), timezone="Europe/Berlin")
    nine = datetime(2026, 3, 1, 8)
    assert [row for row in values(rows, "node", "state", "started_at", "gpu_count") if row[2] == nine] == [
        ("g02", "drain", nine, None), ("g03", "down", nine, None),
    ]  # fmt: skip
    assert len(rows) == 5 and values(rows[1:2], "node", "state", "gpu_count") == [("g02", "up", 4)]


def test_a_dated_dump_speaks_for_so_many_hours(read):
    dump = block("g01", "MIXED") + block("g02", "ALLOCATED+MAINTENANCE") + block("g03", "IDLE+CLOUD+POWERED_DOWN")
    rows = read(dump, name="nodes-2026-03-01T0005.txt", holds_hours=25, timezone="Europe/Berlin")
    five_past = datetime(2026, 2, 28, 23, 5)
    assert values(rows, "state", "started_at", "ended_at") == [
        (state, five_past, five_past + timedelta(hours=25)) for state in ("up", "maintenance", "powered_down")
    ]
    assert values(read(dump, name="nodes_20260301.txt", holds_hours=1), "started_at") == [MARCH] * 3


def test_what_states_mean(read):
    states = {
        "IDLE": "up", "MIXED+PLANNED": "up", "ALLOCATED": "up", "COMPLETING": "up", "IDLE+RESERVED": "up", "idle-": "up", "mix@": "up",
        "IDLE+DRAIN": "drain", "drained": "drain", "drng": "drain", "DRAINING": "drain", "idle*": "drain", "FAILING": "drain",
        "IDLE+DRAIN+NOT_RESPONDING": "drain", "alloc!": "drain", "DOWN": "down", "DOWN+DRAIN": "down", "down*": "down",
        "down$": "maintenance", "maint": "maintenance", "IDLE+MAINTENANCE": "maintenance", "fail": "fail", "IDLE+FAIL": "fail",
        "UNKNOWN": "unknown", "unk": "unknown", "inval": "inval", "IDLE+INVALID_REG": "inval", "ERROR": "error", "idle^": "reboot",
        "idle~": "powered_down", "IDLE+POWERING_DOWN": "powered_down", "alloc#": "powering_up", "IDLE+POWERING_UP": "powering_up",
    }  # fmt: skip
    dump = "".join(block(f"n{number}", state) for number, state in enumerate([*states, "FUTURE"]))
    rows = read(dump, name="2026-03-01.txt", holds_hours=1)
    assert dict(zip(states, values(rows, "state"), strict=True)) == states


def test_gpus_of_a_node(read):
    gpus = {
        "gpu:a100:4(S:0-1)": (4, "a100"), "gpu:2": (2, None), "(null)": (0, None), "craynetwork:1": (0, None),
        "gpu:a100:2,gpu:v100:2": (4, None), "gpu:h100:8(S:0-1),shard:h100:32(S:0-1)": (8, "h100"),
        # how many GPUs the slices are cut from, Slurm does not say
        "gpu:a100_3g.20gb:4": (None, "a100"), "gpu:a100:1,gpu:a100_1g.5gb:7": (None, "a100"),
    }  # fmt: skip
    rows = read("".join(block(f"n{number}", gres=gres) for number, gres in enumerate(gpus)))
    assert dict(zip(gpus, values(rows, "gpu_count", "gpu_model"), strict=True)) == gpus
    rows = read(block(gres="(null)", CfgTRES="cpu=64,gres/gpu=2,gres/gpu:l40s=2"))
    assert values(rows, "gpu_count", "gpu_model") == [(2, "l40s")]


def test_nodes_of_sinfo(read):
    header = "NODELIST|PARTITION|STATE|CPUS|MEMORY|GRES|TIMESTAMP|REASON\n"
    lines = "g01|gpu*|drained|64|512000|gpu:a100:4|2026-03-01T09:00:00|bad | fan\ng01|all|drained|64|512000|gpu:a100:4|Unknown|none\n"
    rows = read(header + lines + "c[1-2]|all|idle|8+|(null)|(null)|Unknown|none\n", since="2026-01-01")
    names = ("node", "pool", "state", "gpu_count", "cpu_count", "started_at")
    assert values(rows, *names) == [
        ("g01", "gpu", "up", 4, 64, datetime(2026, 1, 1)), ("g01", "gpu", "drain", None, None, datetime(2026, 3, 1, 9)),
        ("c1", "all", "up", 0, None, datetime(2026, 1, 1)), ("c2", "all", "up", 0, None, datetime(2026, 1, 1)),
    ]  # fmt: skip
    # without a moment of its own it must be told one
    reason = "is not known: give option since, from when the nodes exist, or date the file's name"
    assert read("NODELIST,STATE\ng01,idle\n", name="nodes.csv", refused=[(1, "BootTime", None, reason)]) == []


def test_nodes_as_json_of_old_and_new_versions(read):
    # Slurm 22.05
    node = {"name": "g01", "partitions": ["gpu", "all"], "state": "idle", "state_flags": ["DRAIN"], "cpus": 64, "real_memory": 512000}
    node |= {"temporary_disk": 0, "gres": "gpu:a100:4", "tres": "cpu=64", "reason_changed_at": 1772355600, "boot_time": 1771574400}
    # 23.11 and later
    new = {"state": ["IDLE", "DRAIN"], "boot_time": {"set": True, "infinite": False, "number": 1771574400}, "instance_type": "p5.48xlarge"}
    new |= {"reason_changed_at": {"set": True, "infinite": False, "number": 1772355600}, "instance_id": "i-0a1", "cluster_name": "tiny"}
    for one, more in ((node, (None, None, None)), (node | new, ("tiny", "i-0a1", "p5.48xlarge"))):
        rows = read({"meta": {}, "errors": [], "nodes": [one]}, name="nodes.json")
        assert values(rows, "node", "pool", "state", "started_at", "gpu_count", "memory_gb", "disk_gb") == [
            ("g01", "gpu", "up", BOOT, 4, 500, None), ("g01", "gpu", "drain", datetime(2026, 3, 1, 9), None, None, None),
        ]  # fmt: skip
        assert values(rows[:1], "cluster", "resource_id", "sku") == [more]
    taken = {"last_update": {"set": True, "infinite": False, "number": 1772323200}, "nodes": [node]}
    assert values(read(taken, name="nodes.json", holds_hours=24), "state", "started_at", "ended_at") == [
        ("drain", MARCH, MARCH + timedelta(days=1))
    ]


def test_nodes_of_sinfo_as_json(read):
    def record(name, state, cpus, memory):
        amounts = {"cpus": cpus, "memory": memory, "disk": {"minimum": 0, "maximum": 0}, "gres": {"total": "gpu:gen:8(S:0-1)"}}
        nodes = {"nodes": [name], "hostnames": []}
        return {"node": {"state": state}, "nodes": nodes, "partition": {"name": "p"}, "reason": {"time": 1772355600}} | amounts

    same = {"minimum": 80, "maximum": 80, "total": 160}
    answer = {"meta": {"slurm": {"cluster": "tiny"}}}
    answer["sinfo"] = [
        record("a", ["IDLE"], same, {"minimum": 1024, "maximum": 1024}),
        record("b", ["DOWN"], {"total": 80, "idle": 80}, {"minimum": 1024}),
        record("c", ["MIXED"], {"minimum": 8, "maximum": 80}, {"minimum": 1, "maximum": 2}),
    ]
    rows = read(answer, name="sinfo.json", since="2026-03-01")
    assert values(rows, "cluster", "node", "state", "gpu_count", "cpu_count", "memory_gb", "started_at") == [
        ("tiny", "a", "up", 8, 80, 1, MARCH), ("tiny", "b", "up", 8, 80, 1, MARCH),
        ("tiny", "b", "down", None, None, None, datetime(2026, 3, 1, 9)), ("tiny", "c", "up", 8, None, None, MARCH),
    ]  # fmt: skip


def test_cloud_nodes_have_the_times_in_which_they_lived(read):
    lines = "Cluster|NodeName|InstanceId|InstanceType|TimeStart|TimeEnd\n"
    lines += "tiny|q-1|i-1|p5|2026-03-01T00:00:00|2026-03-01T05:00:00\ntiny|q-1|i-2|p5|2026-03-01T09:00:00|Unknown\n"
    assert values(read(lines, holds_hours=24, name="2026-03-01.txt"), "resource_id", "sku", "started_at", "ended_at") == [
        ("i-1", "p5", MARCH, datetime(2026, 3, 1, 5)), ("i-2", "p5", datetime(2026, 3, 1, 9), None),
    ]  # fmt: skip


EVENTS = "Cluster|NodeName|TimeStart|TimeEnd|State|Reason|User\n"


def test_events_are_times_in_which_a_node_cannot_be_used(read, db):
    lines = (
        EVENTS + "tiny||2026-03-01T08:00:00|Unknown||Cluster Registered TRES|\n"
        "tiny|n1|2026-03-01T09:00:00|2026-03-01T10:00:00|DRAIN|bad | fan|root(0)\n"
        "tiny|n1|2026-03-02T09:00:00|Unknown|DOWN*|psu|root(0)\n"
        "tiny|n2|2026-03-02T09:00:00|2026-03-02T11:00:00|MAINT|plan|root(0)\n"
        "tiny|n2|2026-03-03T09:00:00|2026-03-03T11:00:00|IDLE||\n"
    )
    second = datetime(2026, 3, 2, 9)
    assert values(read(lines, slurm_events), "cluster", "node", "state", "started_at", "ended_at", "file_row") == [
        ("tiny", "n1", "drain", datetime(2026, 3, 1, 9), datetime(2026, 3, 1, 10), 2),
        ("tiny", "n1", "down", second, None, 3),
        ("tiny", "n2", "maintenance", second, datetime(2026, 3, 2, 11), 4),
        ("tiny", "n2", "down", datetime(2026, 3, 3, 9), datetime(2026, 3, 3, 11), 5),
    ]
    assert db.execute("select * from skipped").fetchall() == [(1, "is of the whole cluster")]


def test_events_in_other_forms(read):
    line = "n1|2026-03-01T09:00:00|2026-03-01T10:00:00|DOWN"
    want = [("down", datetime(2026, 3, 1, 9), datetime(2026, 3, 1, 10))]
    names = ("state", "started_at", "ended_at")
    columns = ["NodeName", "Start", "End", "State"]
    assert values(read(line, slurm_events, columns=columns), *names) == want
    header = "nodename|timestart|timeend|state"
    for content, name in (
        (f"{header}|\n{line}|\n", "events.txt"),
        (f"{header}\n{line}\n".replace("|", ","), "events.csv"),
        (f"{header}\n{line}\n".replace("|", "\t"), "events.out"),
        (json.dumps(dict(zip(header.split("|"), line.split("|"), strict=True))), "events.jsonl"),
    ):
        assert values(read(content, slurm_events, name=name), *names) == want


def test_an_event_told_twice_is_the_later_one(read):
    lines = EVENTS + "a|n1|2026-03-01T09:00:00|Unknown|DOWN|x|\na|n1|2026-03-01T09:00:00|2026-03-01T10:00:00|DOWN|x|\n"
    assert values(read(lines, slurm_events), "ended_at", "file_row") == [(datetime(2026, 3, 1, 10), 2)]


def test_duration_decides_in_the_hour_that_comes_twice(read):
    # 2026-10-25: at 03:00 CEST (01:00 UTC) clocks go back to 02:00
    header = "NodeName|TimeStart|TimeEnd|State|Duration\n"
    lines = "n|2026-10-25T01:30:00|2026-10-25T02:10:00|DOWN|01:40:00\nn|2026-10-25T02:30:00|2026-10-25T04:00:00|DOWN|02:30:00\n"
    rows = read(header + lines, slurm_events, timezone="Europe/Berlin")
    assert [(f"{start:%H:%M}", f"{end:%H:%M}") for start, end in values(rows, "started_at", "ended_at")] == [
        ("23:30", "01:10"), ("00:30", "03:00"),
    ]  # fmt: skip


def test_what_makes_no_sense_is_refused(read, tmp_path):
    lines = EVENTS + "a|n1|yesterday|Unknown|DOWN|x|\na|n2|2026-03-01T09:00:00|soon|DOWN|x|\n"
    assert (
        read(lines, slurm_events, refused=[(1, "TimeStart", "yesterday", "is not a time"), (2, "TimeEnd", "soon", "is not a time")]) == []
    )
    header = "NODELIST|STATE\n"
    assert read(header + "n[1-|idle\n", since="2026-03-01", refused=[(1, "NodeName", "n[1-", "is not a list of nodes")]) == []
    for content, reader, options, message in (
        ("\n \n", slurm_nodes, {}, "nodes.txt is empty"),
        ("NODELIST NODES PARTITION\nn1 1 gpu\n", slurm_nodes, {}, "has no header.*scontrol show node"),
        (block(), slurm_nodes, {"holds_hours": 24}, "does not say when it was taken.*into its name"),
        (block(), slurm_nodes, {"holds_hours": -1}, "holds_hours is -1"),
        (block(), slurm_nodes, {"since": "long ago"}, "since is 'long ago'"),
        (block(), slurm_nodes, {"until": "now"}, "has no option until"),
        ("Cluster|NodeName|TimeStart\na|b|c\n", slurm_events, {}, "has no field timeend, state.*sacctmgr show event"),
        ('{"errors": [{"error": "no slurmdbd"}]}', slurm_nodes, {}, "none of the lists nodes, sinfo.*no slurmdbd"),
    ):
        with pytest.raises(TollbookError, match=message):
            read(content, reader, **options)


def test_a_node_without_memory_in_mb_keeps_its_digits(read):
    assert values(read(block(RealMemory="1000")), "memory_gb") == [Decimal("0.976563")]
