"""What the series of GPU exporters measure: which device, instance or process, in which column, in which unit.

Sources: DCGM-Exporter (default counters, "Profiling metrics", Kubernetes mode), DCGM's dcgm_structs (blank values),
nvidia_gpu_exporter (METRICS.md), HAMi's vGPU monitor, NVML-based exporters (``nvidia_gpu_duty_cycle``).

- DCGM writes "no data" as numbers: 0x7ffffff0 and up to 0x7fffffff (int32), 0x7ffffffffffffff0 and up (int64), 2^47 and up (float).
- Under time-slicing dcgm-exporter repeats the device's value for every pod; it stays the device's. Newer versions can state each
  pod's own (``--kubernetes-virtual-gpus`` with host PIDs), by the same names: known by pods (label ``vgpu``) that state different
  values of one GPU at one moment. Option ``pod_values`` says so instead: ``device`` or ``process``.
- nvidia_gpu_exporter writes UUIDs without their ``GPU-``; here each GPU has one name, as DCGM, nvidia-smi and Kubernetes write it.
- A pod that is the exporter's own, as Prometheus labels its target, holds nothing.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import nvidia_smi, prometheus
from tollbook.sources.prometheus import label
from tollbook.sources.typing import text
from tollbook.workspace import Source

_MIB = 1 / 1024
_BYTE = 1 / 1024**3
_PERCENT = 1 / 100

#: metric -> (what it measures, factor to ratio, GB of 2^30 bytes or watts); a None factor: percent where a value exceeds 1
MEASURES: dict[str, tuple[str, float | None]] = {
    "dcgm_fi_dev_gpu_util": ("busy", _PERCENT),
    "dcgm_fi_dev_gpu_util_ratio": ("busy", None),
    "dcgm_fi_prof_gr_engine_active": ("engine", 1),
    "dcgm_fi_prof_sm_active": ("sm_active", 1),
    "dcgm_fi_prof_pipe_tensor_active": ("tensor", 1),
    "dcgm_fi_prof_tensor_util_ratio": ("tensor", 1),
    "dcgm_fi_prof_dram_active": ("dram", 1),
    "dcgm_fi_dev_fb_used": ("used", _MIB),
    "dcgm_fi_dev_fb_free": ("free", _MIB),
    "dcgm_fi_dev_fb_total": ("total", _MIB),
    "dcgm_fi_dev_fb_reserved": ("reserved", _MIB),
    "dcgm_fi_dev_fb_used_percent": ("memory_ratio", None),
    "dcgm_fi_dev_power_usage": ("power", 1),
    "dcgm_fi_dev_power_usage_instant": ("power_now", 1),
    "dcgm_fi_dev_board_power_watts": ("power", 1),
    "dcgm_fi_dev_xid_errors": ("xid", 1),
    "dcgm_fi_dev_xid_error": ("xid", 1),
    "dcgm_fi_dev_sm_util_per_pod": ("process", _PERCENT),
    "nvidia_smi_utilization_gpu_ratio": ("busy", 1),
    "nvidia_smi_memory_used_bytes": ("used", _BYTE),
    "nvidia_smi_memory_free_bytes": ("free", _BYTE),
    "nvidia_smi_memory_total_bytes": ("total", _BYTE),
    "nvidia_smi_memory_reserved_bytes": ("reserved", _BYTE),
    "nvidia_smi_power_draw_watts": ("power", 1),
    "nvidia_smi_power_draw_instant_watts": ("power_now", 1),
    "nvidia_smi_process_sm_ratio": ("process", 1),
    "nvidia_gpu_duty_cycle": ("busy", _PERCENT),
    "nvidia_gpu_memory_used_bytes": ("used", _BYTE),
    "nvidia_gpu_memory_total_bytes": ("total", _BYTE),
    "nvidia_gpu_power_usage_milliwatts": ("power", 1 / 1000),
    "hostcoreutilization": ("busy", _PERCENT),
    "hami_host_gpu_utilization_ratio": ("busy", _PERCENT),
    "hostgpumemoryusage": ("used", _BYTE),
    "hami_host_gpu_memory_used_bytes": ("used", _BYTE),
    "device_utilization_desc_of_container": ("process", _PERCENT),
    "hami_container_device_utilization_ratio": ("process", _PERCENT),
    "vgpu_device_memory_usage_in_bytes": ("process_used", _BYTE),
    "vgpu_device_memory_usage_in_mib": ("process_used", _MIB),
    "hami_vgpu_memory_used_bytes": ("process_used", _BYTE),
}
#: what ``nvidia-smi --query-gpu --format=csv`` calls its columns
_CSV_COLUMNS = {
    "utilization.gpu": "dcgm_fi_dev_gpu_util",
    "memory.used": "dcgm_fi_dev_fb_used",
    "memory.free": "dcgm_fi_dev_fb_free",
    "memory.total": "dcgm_fi_dev_fb_total",
    "memory.reserved": "dcgm_fi_dev_fb_reserved",
    "power.draw": "dcgm_fi_dev_power_usage",
    "power.draw.instant": "dcgm_fi_dev_power_usage_instant",
}
_OTHERS = ("hami_mig_device_info", "hostcoreutilization", "hostgpumemoryusage", "device_utilization_desc_of_container")
#: the metrics whose series are read: any of these exporters tells that a GPU is there
WANTED = f"^(dcgm_(fi|exp)_|nvidia_(smi|gpu)_|vgpu_device_memory_|hami_(host_gpu|container_device|vgpu_memory)_|({'|'.join(_OTHERS)})$)"
#: the same as PromQL's regular expression of names, for a pull
PULLED = (
    "DCGM_FI_(DEV_(GPU_UTIL|FB_|POWER_USAGE|XID_ERROR|SM_UTIL)|PROF_(GR_ENGINE|SM|PIPE_TENSOR|DRAM)_ACTIVE).*"
    "|nvidia_smi_(utilization_gpu_ratio|memory_(used|free|total|reserved)_bytes|power_draw_watts|gpu_info)"
    "|nvidia_gpu_(duty_cycle|memory_(used|total)_bytes|power_usage_milliwatts)"
    "|HostCoreUtilization|HostGPUMemoryUsage|Device_utilization_desc_of_container|vGPU_device_memory_usage_in_(bytes|MiB)"
    "|hami_(host_gpu_(utilization_ratio|memory_used_bytes)|container_device_utilization_ratio|vgpu_memory_used_bytes|mig_device_info)"
)
#: options of every format of this family
OPTIONS = ("scraped_at", "metric", "node", "pod_values", "pull")

_UUID = label("uuid", "gpu_uuid", "deviceuuid", "device_uuid", "gpuuuid")
_INDEX = label("gpu", "gpu_index", "index", "minor_number", "deviceidx", "device_index", "gpu_id")
_BARE = "'^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'"
_IS_PROCESS = "(metric in ({}) or metric like 'nvidia_smi_compute_app_%')".format(
    ", ".join(text(name) for name, (what, _) in MEASURES.items() if what.startswith("process"))
)
# pods of exporters and device plugins, where Prometheus names its target
_EXPORTER = "'(dcgm|gpu|nvidia|smi)[a-z0-9-]*exporter|vgpu-?monitor|device-plugin'"


def open_devices(db: duckdb.DuckDBPyConnection, file: Path, source: Source) -> None:
    """Make ``gpu_series`` (series_id, entity_id, measure, factor) and ``gpu_entities``, beside ``prometheus_points``.

    ``gpu_entities``: entity_id, node, gpu_id, instance_id, profile, model, holding_id, process.

    Raises:
        ConfigError: an option that makes no sense.
        DeliveryError: the file cannot be read, or has no GPU in it.
    """
    if nvidia_smi.is_one(file):
        nvidia_smi.open_points(db, file, source)
    else:
        prometheus.open_points(db, file, source, prometheus.Wanted(WANTED, "GPU metric", _CSV_COLUMNS))
        found, unread = (db.execute(f"select exists (from {relation})").fetchone()[0] for relation in ("prometheus_series", "unread"))
        if not found and not unread:
            raise DeliveryError(f"{file.name} has no metric of a GPU that Tollbook knows (docs/telemetry.md). Deliver the exporter's page.")
    db.execute(_described(source))
    db.execute(_ENTITIES)
    measures = ", ".join(
        f"({text(name)}, {text(what)}, {'null' if factor is None else factor})" for name, (what, factor) in MEASURES.items()
    )
    db.execute(
        f"""
        create or replace temp table gpu_series as
        with measures (metric, measure, factor) as (values {measures})

        select
            gpu_described.series_id, gpu_described.entity_id, gpu_described.metric, gpu_described.is_virtual, measures.measure, measures.factor
        from gpu_described left join measures using (metric)
        """
    )
    _scale(db)
    _tell_pods_apart(db, source.option("pod_values", "auto", ("auto", "device", "process")))
    if not db.execute("select exists (from gpu_entities)").fetchone()[0]:
        if db.execute("select exists (from unread)").fetchone()[0]:
            return
        raise DeliveryError(f"{file.name}: none of its GPU metrics has a label that names the GPU (UUID, uuid, gpu, device, index).")


def value(metric: str = "series.metric") -> str:
    """The SQL of a point's value, NULL where it stands for no data."""
    blank = f"{metric} like 'dcgm%' and (points.value >= 140737488355328 or points.value between 2147483632 and 2147483647)"
    return f"case when isfinite(points.value) and not coalesce({blank}, false) then points.value end"


def _usual_interval(absent: float) -> str:
    """The SQL of one number: the microseconds from one moment of a GPU to its next, as they mostly are; NULL for one moment."""
    return (
        "(select median(gap) from (select date_diff('microsecond', lag(moment) over (partition by node, gpu_id order by moment), moment) as gap from (select distinct node, gpu_id, moment from gpu_moments))"
        f" where gap <= {absent * 1e6})"
    )


def islands(keys: str, moments: str, source: Source) -> str:
    """A SELECT of ``keys`` with started_at and ended_at (microsecond exact): times in which ``moments`` (keys, at) lie close.

    Close is no more than ``absent_after_seconds`` apart; the last moment stands for one interval of the file, or
    ``interval_seconds``.
    """
    absent = positive(source, "absent_after_seconds", 900)
    stated = positive(source, "interval_seconds", None)
    interval = f"{round(stated * 1e6)}" if stated else f"coalesce({_usual_interval(absent)}, {min(60, absent) * 1e6})::bigint"
    return f"""
    with marked as (
        select
            {keys}, moment,
            coalesce(moment - lag(moment) over (partition by {keys} order by moment) > to_microseconds({round(absent * 1e6)}), true) as is_first
        from ({moments})
    ),

    numbered as (
        select {keys}, moment, sum(is_first::integer) over (partition by {keys} order by moment) as island from marked
    )

    select {keys}, min(moment) as started_at, max(moment) + to_microseconds({interval}) as ended_at
    from numbered
    group by {keys}, island
    """


def positive(source: Source, name: str, default: float | None) -> float | None:
    """A number of seconds among the options.

    Raises:
        ConfigError: it is none, or not above 0.
    """
    given = source.option(name, default)
    if given is not None and (isinstance(given, bool) or not isinstance(given, int | float) or given <= 0):
        raise ConfigError(f"{source.name}: option {name} is {given!r}; it must be a number of seconds above 0.")
    return given


def _described(source: Source) -> str:
    """The statement that makes ``gpu_described``: a row per series that names a GPU, its labels understood."""
    node = source.option("node")
    host = label("hostname", "node", "nodename", "node_name", "kubernetes_node", "nodeid", "host")
    instance = (
        f"regexp_replace(regexp_replace({label('instance')}, '^https?://|/.*$', '', 'g'), '(^\\[(.*)\\]|([^:]*))(:[0-9]+)?$', '\\2\\3')"
    )
    pod = label("pod", "podname", "pod_name")
    namespace = label("namespace", "podnamespace", "pod_namespace")
    uid = label("pod_uid", "poduid", "pod_uuid")
    return f"""
    create or replace temp table gpu_described as
    with named as (
        select
            series_id, metric, labels,
            {_UUID} as uuid, coalesce({_INDEX}, nullif(regexp_extract({label("device")}, '([0-9]+)$', 1), '')) as place,
            {host} as host, {instance} as instance,
            nullif({label("gpu_i_id", "gpu_instance_id")}, '-1') as gi, coalesce({label("gpu_ci_id", "compute_instance_id")}, '0') as ci,
            {label("gpu_i_profile", "profile")} as profile,
            {label("modelname", "model_name", "gpu_name", "devicetype", "device_type", "name")} as model,
            labels['mig_uuid'] as mig_uuid,
            {pod} as pod, {namespace} as namespace, {uid} as uid, labels['hpc_job'] as job, labels['exported_pod'] is not null as is_exported,
            labels['job'] as scrape_job,
            coalesce(labels['vgpu'] is not null, false) as is_virtual,
            {label("container", "ctrname", "container_name")} as container,
            {label("process_name", "command")} as command, {label("pid")} as pid
        from prometheus_series
    ),

    cleaned as (
        select
            * replace (
                case
                    when regexp_matches(coalesce(uuid, place), {_BARE}) then 'GPU-' || coalesce(uuid, place)
                    when uuid is null and regexp_matches(place, '^(GPU|MIG)-') then place
                    else uuid
                end as uuid,
                -- where one series says which pod holds, another's bare pod is the target's
                case
                    when not is_exported and (
                        regexp_matches(pod, {_EXPORTER})
                        or max(is_exported) over (partition by scrape_job, instance)
                    ) then null
                    else pod
                end as pod,
                regexp_replace(model, '^NVIDIA-NVIDIA ', 'NVIDIA ') as model
            )
        from named
        where coalesce(uuid, place) is not null
    ),

    told as (
        select
            series_id, metric, is_virtual, profile, model,
            coalesce({text(str(node)) if node else "null"}, host, case when uuid is not null then min(host) over (partition by uuid) end, instance) as node,
            case
                when uuid like 'MIG-GPU-%/%' then regexp_extract(uuid, '^MIG-(GPU-[^/]+)', 1)
                when uuid like 'MIG-%' then coalesce(place, uuid)
                else coalesce(uuid, place)
            end as gpu_id,
            case
                when uuid like 'MIG-%' then uuid
                when gi is not null then coalesce(mig_uuid, concat('MIG-', coalesce(uuid, place), '/', gi, '/', ci))
            end as instance_id,
            -- of the other metrics, pod and container are those of the exporter
            case
                when metric like 'dcgm%' or {_IS_PROCESS} then coalesce(uid, case when pod is not null then concat_ws('/', namespace, pod) end, job)
            end as holding_id,
            case when {_IS_PROCESS} then coalesce(nullif(concat_ws(' ', command, pid), ''), container) end as process
        from cleaned
    )

    select *, dense_rank() over (order by node, gpu_id, instance_id, holding_id, process) as entity_id from told
    """


_ENTITIES = """
create or replace temp table gpu_entities as
select
    entity_id, any_value(node) as node, any_value(gpu_id) as gpu_id, any_value(instance_id) as instance_id,
    any_value(holding_id) as holding_id, any_value(process) as process, max(profile) as profile, max(model) as model
from gpu_described
group by entity_id
"""


def _scale(db: duckdb.DuckDBPyConnection) -> None:
    """Settle the metrics that some write as ratio and some in percent: percent where any value exceeds 1."""
    for (metric,) in db.execute("select distinct metric from gpu_series where measure is not null and factor is null").fetchall():
        largest = db.execute(
            f"select max({value('series.metric')}) from prometheus_points as points inner join gpu_series as series using (series_id)"
            " where series.metric = ?",
            [metric],
        ).fetchone()[0]
        db.execute("update gpu_series set factor = ? where metric = ?", [_PERCENT if (largest or 0) > 1 else 1, metric])


def _tell_pods_apart(db: duckdb.DuckDBPyConnection, pod_values: str) -> None:
    """Where pods state their own use of a shared GPU, make it a process's; else it stays the device's, however often repeated."""
    if pod_values == "device":
        return
    own = "series.is_virtual and " if pod_values == "auto" else ""
    shared = f"{own}entities.holding_id is not null and series.metric = '{{}}'"
    for metric, measure in (("dcgm_fi_dev_gpu_util", "process"), ("dcgm_fi_dev_fb_used", "process_used")):
        differ = (
            pod_values == "process"
            or db.execute(
                f"""
            select exists (
                select 1
                from prometheus_points as points
                inner join gpu_series as series using (series_id)
                inner join gpu_entities as entities using (entity_id)
                where {shared.format(metric)}
                group by entities.node, entities.gpu_id, entities.instance_id, points.moment
                having count(distinct points.value) > 1
            )
            """
            ).fetchone()[0]
        )
        if differ:
            db.execute(
                f"update gpu_series as series set measure = '{measure}' from gpu_entities as entities"
                f" where series.entity_id = entities.entity_id and {shared.format(metric)}"
            )
