"""Names that Kubernetes, its operators and the clouds give to jobs, pools and prices of nodes, and the options that name more.

``Keys`` writes a label's name as the file has it: the API keeps ``app.kubernetes.io/name``, kube-state-metrics says ``app_kubernetes_io_name``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from tollbook.errors import ConfigError
from tollbook.sources.typing import text
from tollbook.workspace import Source

# the widest owner first: a JobSet's pods also have the label of their Job
JOBS = (
    "training.kubeflow.org/job-name", "jobset.sigs.k8s.io/jobset-name", "ray.io/originated-from-cr-name", "ray.io/cluster",
    "leaderworkerset.sigs.k8s.io/name", "volcano.sh/job-name", "sparkoperator.k8s.io/app-name", "workflows.argoproj.io/workflow",
    "tekton.dev/pipelineRun", "tekton.dev/taskRun", "serving.kserve.io/inferenceservice", "serving.knative.dev/service", "notebook-name",
    "batch.kubernetes.io/job-name", "job-name",
)  # fmt: skip
# counts of what failed before; the first attempt has 0
ATTEMPTS = ("batch.kubernetes.io/job-index-failure-count", "jobset.sigs.k8s.io/restart-attempt", "volcano.sh/job-retry-count")
KINDS = {
    "notebook": (
        ("notebook-name", None),
        ("hub.jupyter.org/username", None),
        ("app.kubernetes.io/component", "notebook|singleuser-server"),
    ),
    "inference_server": (
        ("serving.kserve.io/inferenceservice", None),
        ("app.kubernetes.io/component", "inference|inference[-_]server|predictor|model[-_]server|serving"),
        ("app.kubernetes.io/name", "vllm|tgi|text-generation-inference|triton|triton-inference-server|sglang|nim|nim-llm"),
    ),
    "ci_job": (("actions.github.com/scale-set-name", None), ("manager.runner.gitlab.com/id-short", None)),
}
POOLS = (
    "karpenter.sh/nodepool", "eks.amazonaws.com/nodegroup", "alpha.eksctl.io/nodegroup-name", "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool", "agentpool", "karpenter.sh/provisioner-name", "oci.oraclecloud.com/nodepool", "node.kubernetes.io/pool",
    "cloud.ibm.com/worker-pool-name", "ibm-cloud.kubernetes.io/worker-pool-name", "doks.digitalocean.com/node-pool", "nodepool",
)  # fmt: skip
REGIONS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
SKUS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
PRICES = (
    "karpenter.sh/capacity-type", "eks.amazonaws.com/capacityType", "kubernetes.azure.com/scalesetpriority", "node.kubernetes.io/lifecycle",
)  # fmt: skip
GOOGLE_SPOT = ("cloud.google.com/gke-spot", "cloud.google.com/gke-preemptible")
PRODUCTS = ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "karpenter.k8s.aws/instance-gpu-name", "amd.com/gpu.product-name")


@dataclass(frozen=True)
class Keys:
    """How the file writes the names of labels."""

    sanitised: bool = False

    def name(self, label: str) -> str:
        return sanitised(label) if self.sanitised else label

    def of(self, column: str, *labels: str) -> str:
        """The SQL of the first of the labels that the map ``column`` has, NULL where it is blank."""
        found = [f"nullif(trim({column}[{text(self.name(label))}]), '')" for label in labels]
        return f"coalesce({', '.join(found)})" if found else "null::varchar"

    def job(self) -> str:
        return self.of("labels", *JOBS)

    def attempt(self) -> str:
        return f"try_cast(coalesce({self.of('labels', *ATTEMPTS)}, {self.of('annotations', *ATTEMPTS)}) as integer) + 1"

    def kind(self) -> str:
        """The SQL of holder_kind, by what the labels say outright."""
        cases = " ".join(
            f"when regexp_full_match(lower({self.of('labels', label)}), {text(form or '.*')}) then {text(kind)}"
            for kind, forms in KINDS.items()
            for label, form in forms
        )
        return f"case {cases} else 'pod' end"

    def purchase_option(self) -> str:
        """The SQL of spot, reserved or on_demand from a node's labels."""
        said = f"lower(replace({self.of('labels', *PRICES)}, '-', '_'))"
        spot = " or ".join(f"lower({self.of('labels', label)}) = 'true'" for label in GOOGLE_SPOT)
        return (
            f"case when {spot} then 'spot' when {said} in ('ondemand', 'regular', 'normal', 'on_demand') then 'on_demand'"
            f" when {said} in ('spot', 'ec2spot', 'preemptible') then 'spot' when {said} in ('reserved', 'capacity_block') then 'reserved'"
            f" else {said} end"
        )


def sanitised(label: str) -> str:
    """A name as kube-state-metrics writes it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)


def named_labels(source: Source, option: str) -> tuple[str, ...]:
    """The labels that an option names: one, or several of which the first found counts.

    Raises:
        ConfigError: it is neither a text nor a list of texts.
    """
    value = source.option(option, [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{source.name}: option {option} is {value!r}; it must be the name of a label, or a list of such names.")
    return tuple(names)


def by_node(source: Source, option: str, keys: Keys) -> str:
    """The SQL of a number that an option gives for all pods, or by node (with * and ?) or label=value; the first that fits counts.

    The SQL reads ``node``, ``labels`` and ``hints`` (of the node, as far as it is known).

    Raises:
        ConfigError: a number is not above 0.
    """
    value = source.option(option)
    if value is None:
        return "null::bigint"
    if not isinstance(value, dict):
        return f"{_above_zero(source, option, value)}::bigint"
    cases = []
    for where, number in value.items():
        label, equals, wanted = str(where).partition("=")
        fits = (
            f"{keys.of('hints', label)} = {text(wanted)} or {keys.of('labels', label)} = {text(wanted)}"
            if equals
            else f"node glob {text(str(where))}"
        )
        cases.append(f"when {fits} then {_above_zero(source, option, number)}")
    return f"(case {' '.join(cases)} end)::bigint" if cases else "null::bigint"


def accelerators(source: Source) -> dict[str, int]:
    """The option ``accelerators``: what other resources count as GPUs, and which share of one (in millionths) each is.

    Raises:
        ConfigError: it is no map of shares above 0, up to 1.
    """
    value = source.option("accelerators", {})
    try:
        shares = {sanitised(name).lower(): Fraction(str(share)) for name, share in value.items()}
    except (AttributeError, ValueError):
        shares = {"": Fraction(0)}
    if not all(0 < share <= 1 for share in shares.values()):
        raise ConfigError(
            f"{source.name}: option accelerators must give a share above 0, up to 1, for each resource, such as vendor.com/xpu: 1."
        )
    return {name: int(share * 1000000) for name, share in shares.items()}


def _above_zero(source: Source, option: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{source.name}: option {option} has {value!r}; it must be a whole number above 0.")
    return value
