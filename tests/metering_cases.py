"""Small fleets whose metering and allocation is worked out by hand; each in a cluster of its own, all in one build.

A case adds rows to the deliveries of one workspace; ``test_metering.py`` says what must come out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tests.workspaces import FOCUS, settings_of, write_workspace
from tollbook.workspace import Workspace

SETTINGS = settings_of("bill", "fleet", "slices", "pods", "dcgm", "usage")
COLUMNS = {
    "bill": f"{FOCUS},ProviderName",
    "fleet": "cluster,pool,node,gpu_id,gpu_model,gpu_count,gpu_memory_gb,cpu_count,memory_gb,state,resource_id,started_at,ended_at",
    "slices": "cluster,node,gpu_id,instance_id,profile,started_at,ended_at",
    "pods": "holding_id,job_id,cluster,pool,node,gpu_ids,gpu_count,gpu_share,gpu_model,gpu_profile,gpu_sharing,gpu_memory_gb,cpu_count,memory_gb,"
    "started_at,ended_at,labels",
    "dcgm": "sampled_at,node,gpu_id,instance_id,sm_ratio,holding_id,process_sm_ratio",
    "usage": "started_at,ended_at,node,holding_id,cpu_seconds,memory_gb_seconds",
    "policies": "policy,value,cluster,pool,valid_from,valid_to",
    "resource_rates": "split,resource,gpu_model,rate_kind,rate,valid_from,valid_to",
}


def at(hour: float) -> str:
    """The moment so many hours after 1 September 2026."""
    return str(datetime(2026, 9, 1) + timedelta(seconds=round(hour * 3600)))


@dataclass
class Cases:
    """The rows of all deliveries and rules."""

    rows: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in COLUMNS})

    def add(self, table: str, **values) -> None:
        names = COLUMNS[table].split(",")
        assert set(values) <= set(names), set(values) - set(names)
        cells = ["" if values.get(name) is None else str(values[name]) for name in names]
        self.rows[table].append(",".join('"' + cell.replace('"', '""') + '"' if set(cell) & set('",') else cell for cell in cells))

    def node(
        self, cluster: str, cost: float | str | None = None, hours: float = 1, node: str = "n", pool: str = "p", gpus=1, **values
    ) -> None:
        """A node of ``gpus`` (a number, or a list of ids) for ``hours``, and its bill."""
        resource = f"{cluster}-{node}"
        common = {
            "cluster": cluster,
            "pool": pool,
            "node": node,
            "resource_id": resource,
            "started_at": at(0),
            "ended_at": at(hours),
        } | values
        if isinstance(gpus, list):
            for gpu in gpus:
                self.add("fleet", **({"gpu_id": gpu, "gpu_count": 1} | common))
        else:
            self.add("fleet", **({"gpu_count": gpus} | common))
        if cost is not None:
            self.charge(cost, 0, hours, resource)

    def charge(self, cost, start: float, end: float, resource: str) -> None:
        stamp = {"BillingPeriodStart": "2026-09-01", "BillingPeriodEnd": "2026-10-01", "BillingCurrency": "USD", "ProviderName": "Nimbus"}
        self.add(
            "bill",
            BilledCost=cost,
            EffectiveCost=cost,
            ChargePeriodStart=at(start).replace(" ", "T") + "Z",
            ChargePeriodEnd=at(end).replace(" ", "T") + "Z",
            ChargeCategory="Usage",
            ServiceCategory="Compute",
            ResourceId=resource,
            **stamp,
        )

    def pod(self, cluster: str, name: str, start: float, end: float | None, node: str | None = "n", **values) -> None:
        labels = json.dumps({"team": name})
        ended = at(end) if end is not None else None
        self.add(
            "pods",
            **(
                {"holding_id": name, "cluster": cluster, "node": node, "started_at": at(start), "ended_at": ended, "labels": labels}
                | values
            ),
        )

    def policy(self, cluster: str, policy: str, value: str) -> None:
        self.add("policies", cluster=cluster, policy=policy, value=value)

    def rate(self, split: str, resource: str, rate: float, kind: str = "weight", gpu_model: str | None = None) -> None:
        self.add("resource_rates", split=split, resource=resource, rate=rate, rate_kind=kind, gpu_model=gpu_model)

    def files(self) -> dict[str, str]:
        """Path in the workspace to the text of each delivery and rule file."""
        places = {name: f"landing/{name}/a.csv" for name in COLUMNS} | {
            name: f"config/{name}.csv" for name in ("policies", "resource_rates")
        }
        return {places[name]: "\n".join([COLUMNS[name], *rows]) + "\n" for name, rows in self.rows.items()}

    def workspace(self, root: Path, more: dict[str, str] | None = None) -> Workspace:
        """A workspace in ``root`` with these files and more."""
        return write_workspace(root, SETTINGS, self.files() | (more or {}))

    def overlapping(self, gpu: str) -> None:
        """One attempt that two overlapping rows report."""
        self.node("overlap", 6, 2, gpus=[gpu])
        self.pod("overlap", "twice", 0, 1, gpu_ids=gpu, gpu_count=1)
        self.pod("overlap", "twice", 0.5, 1.5, gpu_ids=gpu, gpu_count=1)

    def promised_twice(self, gpu: str) -> None:
        """Two holders promised a whole GPU each for half an hour, then one alone."""
        self.node("promised", 4, gpus=[gpu])
        self.pod("promised", "first", 0, 1, gpu_ids=gpu, gpu_count=1)
        self.pod("promised", "second", 0, 0.5, gpu_ids=gpu, gpu_count=1)

    def aws_accelerated(self) -> None:
        """KA-3 (AWS split cost allocation data, accelerated instances): 10.00 an hour; 66 CPUs asked of 64, 440 GB held of 488."""
        self.node("ka3", 10, gpus=8, cpu_count=64, memory_gb=488)
        self.policy("ka3", "node_cost_split", "aws_weights")
        for name, cpus, gpus, memory in (("p1", 16, 1, 100), ("p2", 18, 3, 140), ("p3", 16, 2, 100), ("p4", 16, 2, 100)):
            self.pod("ka3", name, 0, 1, gpu_count=gpus, cpu_count=cpus, memory_gb=memory)


def known_answers() -> Cases:
    """KA-1 to KA-6 and KA-8 of the field, and variations of them."""
    cases = Cases()

    # KA-1 (OpenCost specification, appendix A): prices GPU 30, CPU 30, RAM 10 keep their ratio in a node of 35
    cases.node("ka1", 35, cpu_count=1, memory_gb=1)
    cases.policy("ka1", "node_cost_split", "by_price")
    for resource, price in (("gpu", 30), ("cpu", 30), ("memory_gb", 10)):
        cases.rate("by_price", resource, price)
    # the same with the GPU at a declared 20 an hour: the rest is split 3 : 1
    cases.node("declared", 35, cpu_count=1, memory_gb=1)
    cases.policy("declared", "node_cost_split", "gpu_declared")
    cases.rate("gpu_declared", "gpu", 20, "declared")
    cases.rate("gpu_declared", "cpu", 30)
    cases.rate("gpu_declared", "memory_gb", 10)
    # two models on one node, 3 : 1
    cases.node("mixed", 14, gpus=4, gpu_model="A100")
    cases.node("mixed", None, gpus=2, gpu_model="T4")
    cases.policy("mixed", "node_cost_split", "by_model")
    cases.rate("by_model", "gpu", 3, gpu_model="A100")
    cases.rate("by_model", "gpu", 1, gpu_model="T4")
    cases.pod("mixed", "big", 0, 1, gpu_count=2, gpu_model="A100")
    cases.pod("mixed", "small", 0, 0.5, gpu_count=2, gpu_model="t4")

    # KA-2: 8 GB; A requests 6 and uses 1, B requests 0 and uses 5
    cases.node("ka2", 11, gpus=0, memory_gb=8)
    cases.policy("ka2", "node_cost_split", "memory_only")
    cases.rate("memory_only", "memory_gb", 1)
    cases.pod("ka2", "a", 0, 1, memory_gb=6)
    cases.pod("ka2", "b", 0, 1, memory_gb=0)
    cases.add("usage", started_at=at(0), ended_at=at(1), node="n", holding_id="a", memory_gb_seconds=3600)
    cases.add("usage", started_at=at(0), ended_at=at(1), node="n", holding_id="b", memory_gb_seconds=5 * 3600)

    # a node with 2 TB: its parts times microseconds have 21 digits, their products would have 42
    cases.node("large", 12, gpus=0, memory_gb=2048)
    cases.policy("large", "node_cost_split", "memory_only")
    cases.pod("large", "db", 0, 1, memory_gb=1536)
    cases.add("usage", started_at=at(0), ended_at=at(1), node="n", holding_id="db", memory_gb_seconds=512 * 3600)

    cases.aws_accelerated()

    # KA-4 (HAMi#3073, dcgm-exporter#587): four quarters of a GPU, the device's 0.714 repeated for each
    cases.node("ka4", 7, gpus=["g4"])
    for quarter in range(4):
        cases.pod("ka4", f"q{quarter}", 0, 1, gpu_ids="g4", gpu_count=1, gpu_share=0.25)
        for sample in range(120):
            cases.add("dcgm", sampled_at=at(sample / 120), node="n", gpu_id="g4", sm_ratio=0.714, holding_id=f"q{quarter}")
    # processes seen: 0.6 and 0.2 of the SMs, a quarter declared by each, so each pays for its part of the half
    cases.node("processes", 8, gpus=["g5"])
    for name, ratio in (("heavy", 0.6), ("light", 0.2)):
        cases.pod("processes", name, 0, 1, gpu_ids="g5", gpu_count=1, gpu_share=0.25, gpu_sharing="time_slicing")
        for sample in range(120):
            cases.add("dcgm", sampled_at=at(sample / 120), node="n", gpu_id="g5", holding_id=name, process_sm_ratio=ratio)
    # the same, paid by the larger of share and use: 0.6 and 0.25
    cases.node("larger", 8, gpus=["g6"])
    cases.policy("larger", "shared_gpu_split", "larger")
    for name, ratio in (("heavy", 0.6), ("light", 0.2)):
        cases.pod("larger", name, 0, 1, gpu_ids="g6", gpu_count=1, gpu_share=0.25, gpu_sharing="mps")
        for sample in range(120):
            cases.add("dcgm", sampled_at=at(sample / 120), node="n", gpu_id="g6", holding_id=name, process_sm_ratio=ratio)

    # KA-5: a thousand GPUs for one minute, in a pool that does not say where
    cases.node("ka5", 600, gpus=1000)
    cases.pod("ka5", "wide", 0.5, 0.5 + 1 / 60, node=None, pool="p", gpu_count=1000)

    # KA-6 (koku): 72 a day, 7 compute slices; 4 for 2 h, 1 for 6 h, 2 for 2 h
    cases.node("ka6", 72, 24, gpus=["g7"], gpu_model="NVIDIA-A100-SXM4-40GB")
    cases.pod("ka6", "four", 0, 2, gpu_ids="g7", gpu_count=1, gpu_profile="4g.20gb")
    cases.pod("ka6", "one", 0, 6, gpu_ids="g7", gpu_count=1, gpu_profile="mig-1g.5gb")
    cases.pod("ka6", "two", 4, 6, gpu_ids="g7", gpu_count=2, gpu_profile="1g.5gb")

    # KA-8 (NVIDIA MIG guide): seven 1g.5gb leave a memory slice that nobody can hold; two 3g.20gb a compute slice
    for share in ("compute", "memory", "larger"):
        cases.policy(f"mig_{share}", "mig_share", share)
        cases.node(f"mig_{share}", 56, node="ones", gpus=[f"{share}-1"], gpu_model="A100", gpu_memory_gb=40)
        for number in range(7):
            cases.pod(f"mig_{share}", f"{share}-one-{number}", 0, 1, "ones", gpu_ids=f"{share}-1", gpu_count=1, gpu_profile="1g.5gb")
        cases.node(f"mig_{share}", 56, node="threes", gpus=[f"{share}-2"], gpu_model="A100", gpu_memory_gb=40)
        for number in range(2):
            cases.add(
                "slices",
                node="threes",
                gpu_id=f"{share}-2",
                instance_id=f"MIG-{share}-{number}",
                profile="3g.20gb",
                started_at=at(0),
                ended_at=at(1),
            )
        cases.pod(f"mig_{share}", f"{share}-three", 0, 0.5, "threes", gpu_ids=f"MIG-{share}-0", gpu_count=1)
    return cases


def troubles() -> Cases:
    """What goes wrong in real telemetry: overlaps, repeats, down times, drains, cuts inside an hour, full nodes, stopped trains."""
    cases = Cases()

    # one attempt reported by overlapping rows, and once more in two halves
    cases.overlapping("o1")
    cases.node("halves", 6, 2, gpus=["o2"])
    cases.pod("halves", "halved", 0, 0.7, gpu_ids="o2", gpu_count=1)
    cases.pod("halves", "halved", 0.7, 1.5, gpu_ids="o2", gpu_count=1)

    cases.promised_twice("o3")

    # the list says up all day, another source says down for a quarter of an hour; a drain lets the running pod go on
    cases.node("down", 4, gpus=["o4"])
    cases.add("fleet", cluster="down", node="n", state="maintenance", started_at=at(0.25), ended_at=at(0.5))
    cases.pod("down", "held", 0, 0.5, gpu_ids="o4", gpu_count=1)
    cases.node("drain", 4, gpus=["o5"])
    cases.add("fleet", cluster="drain", node="n", state="DRAIN", started_at=at(0), ended_at=at(1))
    cases.pod("drain", "held", 0, 0.75, gpu_ids="o5", gpu_count=1)

    # every CPU is held: the free GPU cannot be
    cases.node("full", 8, gpus=["o6", "o7"], cpu_count=4, memory_gb=32)
    cases.pod("full", "hog", 0, 0.5, gpu_ids="o6", gpu_count=1, cpu_count=8, memory_gb=1)
    cases.pod("full", "hog", 0.5, 1, gpu_ids="o6", gpu_count=1, cpu_count=4, memory_gb=1)

    # 30-second samples: busy for a quarter of an hour, then silence; held for half an hour
    cases.node("train", 4, gpus=["o8"])
    cases.pod("train", "seen", 0, 0.5, gpu_ids="o8", gpu_count=1)
    for sample in range(30):
        for _ in range(2):
            cases.add("dcgm", sampled_at=at(sample / 120), node="n", gpu_id="o8", sm_ratio=1 if sample < 20 else 0)

    # two lines of one hour: 3.00 until 0:20, 9.00 after; each holder has half an hour
    cases.node("price", None, gpus=["o9"])
    cases.charge(3, 0, 1 / 3, "price-n")
    cases.charge(9, 1 / 3, 1, "price-n")
    cases.pod("price", "early", 0, 1 / 3, gpu_ids="o9", gpu_count=1)
    cases.pod("price", "late", 1 / 3, 1, gpu_ids="o9", gpu_count=1)

    # HPC: a holder's part of a node is its largest share of GPUs, CPUs or memory
    cases.node("hpc", 10, gpus=4, cpu_count=64, memory_gb=100)
    cases.policy("hpc", "node_cost_split", "max_share")
    cases.pod("hpc", "gpus", 0, 1, gpu_count=2, cpu_count=8, memory_gb=10)
    cases.pod("hpc", "memory", 0, 1, gpu_count=1, cpu_count=8, memory_gb=30)
    # and by TRES weights: (2 × 8 + 8) : (1 × 8 + 8) of 4 × 8 + 64
    cases.node("tres", 9.6, gpus=4, cpu_count=64, memory_gb=100)
    cases.policy("tres", "node_cost_split", "billing_weights")
    cases.rate("billing_weights", "gpu", 8)
    cases.rate("billing_weights", "cpu", 1)
    cases.pod("tres", "two", 0, 1, gpu_count=2, cpu_count=8)
    cases.pod("tres", "one", 0, 1, gpu_count=1, cpu_count=8)
    return cases
