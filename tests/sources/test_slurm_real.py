"""A real Slurm of two nodes on this machine: what its commands print of three jobs and of nodes taken out, loaded by the readers.

It needs Debian's slurmctld, slurmd, slurmdbd, slurm-client, mariadb-server-core and mariadb-client-core (apt-get install); their
daemons run in a temporary folder on free ports, without munge, cgroups or GPUs (plain files stand for the devices).
"""

import getpass
import os
import socket
import subprocess
import time

import duckdb
import pytest

from tests.programs import PATH, free_ports, need, stop, wait_until
from tollbook.sources import slurm_events, slurm_nodes, slurm_sacct
from tollbook.workspace import Source

#: What is run, and the packages of Debian that have it.
PROGRAMS = (
    {name: name for name in ("slurmctld", "slurmd", "slurmdbd")}
    | dict.fromkeys(("sbatch", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr"), "slurm-client")
    | dict.fromkeys(("mariadbd", "mariadb-install-db"), "mariadb-server-core")
    | {"mariadb": "mariadb-client-core"}
)
#: One command of Slurm or of its database takes no longer than this.
SECONDS = 120
ZONE = "America/New_York"  # the commands print the time of whoever asks

DATABASE = """
[mariadbd]
datadir={home}/db
socket={home}/db.sock
port={database}
bind-address=127.0.0.1
user={user}
skip-grant-tables
innodb_buffer_pool_size=32M
innodb_flush_log_at_trx_commit=0
"""
SLURMDBD = """
AuthType=auth/none
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser={user}
LogFile={home}/slurmdbd.log
PidFile={home}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=root
StorageLoc=slurm_acct_db
"""
SLURM = """
ClusterName=tiny
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
AuthType=auth/none
CredType=cred/none
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool/%n
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.%n.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerParameters=sched_interval=1,bf_interval=1
KillWait=1
MailProg=/bin/true
ReturnToService=2
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStorageTRES=gres/gpu,gres/gpu:a100
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=2 RealMemory=1000 Gres=gpu:a100:4
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=2 RealMemory=1000 Gres=gpu:a100:2
PartitionName=gpu Nodes=n1,n2 Default=YES MaxTime=60 State=UP TRESBillingWeights="CPU=1.0,GRES/gpu=10"
"""
GRES = "AutoDetect=off\nNodeName=n1 Name=gpu Type=a100 File={home}/gpu[0-3]\nNodeName=n2 Name=gpu Type=a100 File={home}/gpu[0-1]\n"
#: no cgroups here: later versions can do without, 22.05 does not look at the folder
CGROUP_OF_22 = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nCgroupMountpoint={home}/cgroup\n"


class Slurm:
    """The daemons of one cluster, and its commands."""

    def __init__(self, home):
        self.home = home
        self.environment = os.environ | {"PATH": PATH, "SLURM_CONF": str(home / "slurm.conf"), "TZ": ZONE}
        self.database = None

    def start(self):
        home = self.home
        names = ("database", "dbd", "controller", "first", "second")
        settings = dict(zip(names, free_ports(len(names)), strict=True))
        settings |= {"home": home, "user": getpass.getuser(), "host": socket.gethostname().split(".")[0]}
        for name in ("db", "state", "spool", "cgroup"):
            (home / name).mkdir()
        for number in range(4):
            (home / f"gpu{number}").touch()
        is_22 = " 22." in self.run("slurmctld", "-V")
        files = {"my.cnf": DATABASE, "slurmdbd.conf": SLURMDBD, "slurm.conf": SLURM, "gres.conf": GRES}
        files["cgroup.conf"] = CGROUP_OF_22 if is_22 else "CgroupPlugin=disabled\n"
        for name, content in files.items():
            (home / name).write_text(content.format(**settings))
            (home / name).chmod(0o600)
        install = ("--no-defaults", f"--datadir={home}/db", "--auth-root-authentication-method=normal", f"--user={settings['user']}")
        self.run("mariadb-install-db", *install)
        with (home / "mariadbd.log").open("w") as log:
            self.database = subprocess.Popen(
                ["mariadbd", f"--defaults-file={home}/my.cnf"], stdout=log, stderr=log, env=self.environment, cwd=home
            )
        self.wait("the database", lambda: (home / "db.sock").exists())
        self.run("mariadb", "--no-defaults", "-S", str(home / "db.sock"), "-e", "create database slurm_acct_db")
        self.run("slurmdbd")
        self.wait("slurmdbd", lambda: self.try_run("sacctmgr", "-n", "show", "tres").returncode == 0)
        self.run("slurmctld", "-c")
        self.run("slurmd", "-N", "n1")
        self.run("slurmd", "-N", "n2")
        self.wait("two idle nodes", lambda: self.run("sinfo", "-h", "-N", "-o", "%T").split() == ["idle", "idle"])

    def stop(self):
        try:
            for name in ("slurmd.n1", "slurmd.n2", "slurmctld", "slurmdbd"):
                file = self.home / f"{name}.pid"
                if file.exists() and file.read_text().strip():
                    subprocess.run(["kill", file.read_text().strip()], check=False)
                    self.wait(f"the end of {name}", lambda file=file: not file.exists())
        finally:
            if self.database:
                stop(self.database)

    def try_run(self, *command):
        return subprocess.run(command, env=self.environment, cwd=self.home, capture_output=True, text=True, check=False, timeout=SECONDS)

    def run(self, *command):
        done = self.try_run(*command)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
        return done.stdout

    def wait(self, what, is_there):
        """Ask until it is there: daemons have no other way to be waited for."""
        wait_until(what, is_there, logs=tuple(sorted(self.home.glob("*.log"))))

    def submit(self, *options, script):
        return self.run("sbatch", "--parsable", "-D", str(self.home), "-o", "/dev/null", *options, "--wrap", script).strip()

    def is_in(self, job, *states):
        lines = self.run("sacct", "-X", "-n", "-P", "-j", job, "-o", "State").split("\n")
        return any(line.split(" ")[0] in states for line in lines)

    def event(self, state):
        lines = self.run("sacctmgr", "-n", "-P", "show", "event", "all_time", "format=State,End").split()
        return next((line.split("|")[1] for line in lines if line.startswith(state)), None)


@pytest.fixture(scope="module")
def dumps(tmp_path_factory):
    """The folder of what the commands printed, and the ids of the jobs."""
    need(PROGRAMS)
    home = tmp_path_factory.mktemp("slurm")
    slurm = Slurm(home)
    try:
        slurm.start()
        yield home, use_and_dump(slurm)
    finally:
        slurm.stop()


def use_and_dump(slurm):
    done = slurm.submit("--gres=gpu:a100:2", "--mem=100", "-J", "with|bar", script="true")
    slurm.wait("completed job", lambda: slurm.is_in(done, "COMPLETED"))
    twice = slurm.submit("-N2", "--gpus=3", "--mem=100", "-J", "twice", script="sleep 600")
    slurm.wait("running job", lambda: slurm.is_in(twice, "RUNNING"))
    never = slurm.submit("-w", "n1", "--gres=gpu:a100:4", "--mem=100", "-J", "never", script="true")
    slurm.wait("pending job", lambda: slurm.is_in(never, "PENDING"))
    slurm.run("scancel", never)
    slurm.run("scontrol", "requeue", twice)
    slurm.wait("requeued job", lambda: slurm.is_in(twice, "PENDING"))
    # a requeued job waits for two minutes unless it is told not to
    slurm.wait("job to start again", lambda: slurm.try_run("scontrol", "update", f"jobid={twice}", "starttime=now").returncode == 0)
    slurm.wait("job that runs again", lambda: slurm.is_in(twice, "RUNNING"))
    (slurm.home / "running.json").write_text(slurm.run("sacct", "-a", "-D", "--json"))
    slurm.run("scancel", twice)
    slurm.wait("cancelled job", lambda: slurm.is_in(twice, "CANCELLED"))
    slurm.wait("two idle nodes", lambda: slurm.run("sinfo", "-h", "-N", "-o", "%T").split() == ["idle", "idle"])

    slurm.run("scontrol", "update", "nodename=n1", "state=drain", "reason=bad | fan")
    slurm.wait("event of the drained node", lambda: slurm.event("DRAIN"))
    drained_by = time.time()
    slurm.run("scontrol", "update", "nodename=n2", "state=down", "reason=psu")
    slurm.wait("event of the node that is down", lambda: slurm.event("DOWN"))
    for name, command in {
        "nodes.txt": ("scontrol", "show", "node"),
        "lines.txt": ("scontrol", "-o", "show", "node"),
        "sinfo.txt": ("sinfo", "-N", "-o", "%N|%P|%T|%c|%m|%d|%G|%H|%E"),
        "sinfo.json": ("sinfo", "--json"),
    }.items():
        (slurm.home / name).write_text(slurm.run(*command))
    # Slurm keeps whole seconds: the drained time must not end in the one in which it began
    slurm.wait("next second", lambda: time.time() >= drained_by + 1)
    slurm.run("scontrol", "update", "nodename=n1", "state=resume")
    slurm.wait("end of the drained time", lambda: slurm.event("DRAIN") != "Unknown")

    fields = "JobID,JobIDRaw,Cluster,Partition,QOS,Account,Group,User,Submit,Start,End,Elapsed,State,NNodes,NodeList,AllocTRES,ReqTRES,ReqMem,JobName"
    for name, command in {
        "sacct.txt": ("sacct", "-a", "-D", "-P", "--delimiter=\x1f", f"--format={fields}"),
        "sacct.json": ("sacct", "-a", "-D", "--json"),
        "events.txt": ("sacctmgr", "-P", "show", "event", "all_time"),
        "allocated.txt": ("sacct", "-a", "-D", "-X", "-n", "-P", "--format=ElapsedRaw,AllocTRES"),
    }.items():
        (slurm.home / name).write_text(slurm.run(*command))
    return {"done": done, "twice": twice, "never": never}


@pytest.fixture
def read(dumps):
    """The rows of one dump, as tuples of the columns asked for."""

    def rows(reader, name, columns, order="all", **options):
        source = Source(name="s", format=reader.__name__.rsplit(".", 1)[1], path="x", timezone=ZONE, options=options)
        with duckdb.connect() as db:
            select = reader.project(db, dumps[0] / name, source, "USD")
            assert db.execute("select * from unread").fetchall() == []
            return db.execute(f"select {columns} from ({select}) order by {order}").fetchall()

    return rows


def test_jobs_of_a_real_slurm(read, dumps):
    jobs = dumps[1]
    columns = "job_id, attempt, name, outcome, node, gpu_count, gpu_model, cpu_count, started_at is null"
    want = [
        (jobs["done"], 1, "with|bar", "succeeded", "n1", 2, "a100", 1, False),
        (jobs["twice"], 1, "twice", "preempted", "n1", 2, "a100", 1, False),
        (jobs["twice"], 1, "twice", "preempted", "n2", 1, "a100", 1, False),
        (jobs["twice"], 2, "twice", "cancelled", "n1", 2, "a100", 1, False),
        (jobs["twice"], 2, "twice", "cancelled", "n2", 1, "a100", 1, False),
        (jobs["never"], 1, "never", "cancelled", None, 4, "a100", 1, True),
    ]
    for name in ("sacct.txt", "sacct.json"):
        found = read(slurm_sacct, name, columns, "job_id::int, attempt, node")
        # where the two nodes of a job give what, the batch step tells
        assert sorted(row[:4] for row in found) == sorted(row[:4] for row in want)
        assert sum(row[5] for row in found if row[0] == jobs["twice"]) == 6
        assert [row for row in found if row[0] != jobs["twice"]] == [row for row in want if row[0] != jobs["twice"]]
    # who cancelled it, only the text's state tells
    same = "* exclude (file_row, labels, state)"
    assert read(slurm_sacct, "sacct.txt", same) == read(slurm_sacct, "sacct.json", same)


def test_gpu_seconds_are_what_sacct_allocated(read, dumps):
    lines = [line.split("|") for line in (dumps[0] / "allocated.txt").read_text().split()]
    gpus = [int(tres.split("gres/gpu=")[1].split(",")[0]) if "gres/gpu=" in tres else 0 for _, tres in lines]
    seconds = sum(int(elapsed) * count for (elapsed, _), count in zip(lines, gpus, strict=True))
    held = "sum(gpu_count * epoch(ended_at - started_at)::bigint)"
    assert seconds > 0
    for name in ("sacct.txt", "sacct.json"):
        assert read(slurm_sacct, name, held) == [(seconds,)]


def test_an_attempt_has_one_name_while_it_runs_and_after(read, dumps):
    ids = "holding_id, node"
    running = read(slurm_sacct, "running.json", f"{ids}, ended_at is null", ids)
    assert [row[:2] for row in running if row[2]] and {row[:2] for row in running if row[0] != dumps[1]["never"]} <= set(
        read(slurm_sacct, "sacct.json", ids)
    )


def test_nodes_of_a_real_slurm(read):
    columns = "node, pool, gpu_model, gpu_count, cpu_count, memory_gb::double, state"
    want = [
        ("n1", "gpu", "a100", 4, 2, 0.976563, "up"), ("n1", "gpu", None, None, None, None, "drain"),
        ("n2", "gpu", "a100", 2, 2, 0.976563, "up"), ("n2", "gpu", None, None, None, None, "down"),
    ]  # fmt: skip
    for name in ("nodes.txt", "lines.txt", "sinfo.txt", "sinfo.json"):
        assert read(slurm_nodes, name, columns, "node, state <> 'up'", since="2026-01-01") == want
    times = "node, state, started_at"
    assert len({tuple(read(slurm_nodes, name, times, since="2026-01-01")) for name in ("nodes.txt", "sinfo.txt", "sinfo.json")}) == 1


def test_events_of_a_real_slurm(read):
    events = read(slurm_events, "events.txt", "cluster, node, state, ended_at > started_at", "node, started_at")
    # what the nodes were before they reported for the first time is an event too
    assert [event for event in events if event[2] in ("drain", "down")] == [("tiny", "n1", "drain", True), ("tiny", "n2", "down", None)]
    assert {event[2] for event in events} <= {"drain", "down", "unknown", "inval"}
    # the dump of the nodes has the same starts
    starts = "node, state, started_at"
    now = {row for row in read(slurm_nodes, "nodes.txt", starts, since="2026-01-01") if row[1] != "up"}
    assert {(node, state) for node, state, _ in now} == {("n1", "drain"), ("n2", "down")}
    assert now <= set(read(slurm_events, "events.txt", starts))
