"""What the requests of pods say of GPUs: whole ones, MIG instances, time slices, HAMi's and other shares. Other accelerators count likewise.

Of a pod's requests the count is Kubernetes' own; the share of each GPU is
- HAMi: the cores allocated (``hami.io/vgpu-devices-allocated``, which also names the GPUs) or asked for (``nvidia.com/gpucores``, percent);
  without a limit on cores the share of the memory (``gpumem-percentage``, or ``gpumem`` of the GPU's memory).
- ``gpu-fraction`` (KAI, run:ai), or ``gpu-memory`` of the GPU's memory; Alibaba's gpushare: ``ALIYUN_COM_GPU_MEM_POD`` of ``…_DEV``.
- time slices and MPS: one of the node's replicas, as the option ``replicas``, the node's labels or the pod's node selector say.
A share that nobody states is NULL. The memory of a GPU is the option ``gpu_memory_mib`` or the node's ``nvidia.com/gpu.memory``.
"""

from __future__ import annotations

from tollbook.sources.kubernetes_names import PRODUCTS, Keys, accelerators, by_node
from tollbook.sources.typing import text
from tollbook.workspace import Source

OPTIONS = ("replicas", "sharing", "gpu_memory_mib", "accelerators")
_SHARINGS = ("time_slicing", "mps")

# what a resource is, by its name as kube-state-metrics writes it; a share where one is less than a GPU
RESOURCES = r"""
create or replace temp table k8s_resources as
with named as (
    select resource, lower(regexp_replace(resource, '[^a-zA-Z0-9]+', '_', 'g')) as name
    from (select distinct resource from k8s_container_requests union select distinct resource from k8s_pod_requests)
)

select
    resource,
    case
        when name in ({others}) then 'gpu'
        when name in ('nvidia_com_gpucores', 'volcano_sh_vgpu_cores') then 'cores'
        when name in ('nvidia_com_gpumem', 'volcano_sh_vgpu_memory') then 'memory'
        when name in ('nvidia_com_gpumem_percentage', 'volcano_sh_vgpu_memory_percentage') then 'memory_percent'
        when name in ('nvidia_com_vgpu', 'volcano_sh_vgpu_number') then 'vgpu'
        when name = 'aliyun_com_gpu_mem' then 'gpushare'
        when regexp_matches(name, '^nvidia_com_mig_[0-9]+[cg]_') then 'mig'
        when regexp_matches(name, '(^|_)(gpu|tpu|npu|gaudi|neuron|neurondevice|neuroncore|mlu|dcu)(_shared)?$')
            or regexp_matches(name, '^(gpu_intel_com_(i915|xe)|huawei_com_ascend[0-9a-z]+)$') then 'gpu'
    end as kind,
    name like '%\_shared' escape '\' as is_shared,
    starts_with(name, 'nvidia_com_') as is_nvidia,
    case {shares} when name = 'aws_amazon_com_neuroncore' then 500000 end as own_share,
    case when kind = 'mig' then regexp_replace(
        replace(replace(regexp_replace(name, '^nvidia_com_mig_|_shared$', '', 'g'), 'c_', 'c.'), 'g_', 'g.'), 'gb_(.*)$', 'gb+\1'
    ) end as profile
from named
"""

_POD_FACTS = """
create or replace temp table k8s_gpu_facts as
select
    pod_no,
    {replicas} as stated_replicas,
    try_cast({hinted_replicas} as bigint) as hinted_replicas,
    case lower({strategy}) when 'mps' then 'mps' when 'time-slicing' then 'time_slicing' when 'time-sharing' then 'time_slicing'
        else {sharing} end as sharing,
    coalesce({memory}, try_cast({hinted_memory} as bigint)) as gpu_mib,
    coalesce(nullif(regexp_extract({product}, '-MIG-([0-9]+g[.][0-9]+gb[^-]*)', 1), ''), {partition}) as single_profile,
    regexp_replace({product}, '(-MIG-[^-]*)?(-SHARED)?$', '') as gpu_model,
    {hami} as hami,
    k8s_billionths({fraction}) as fraction,
    coalesce(try_cast({fraction_devices} as bigint), 1) as fraction_devices,
    k8s_billionths({fraction_memory}) as fraction_memory,
    try_cast({share_part} as bigint) as share_part,
    try_cast({share_whole} as bigint) as share_whole,
    {share_id} as share_id
from k8s_pods
"""

# shares in millionths, memory in billionths of MiB
_SHARED = r"""
create or replace temp macro k8s_at_most_one(share) as if(share > 1000000, 1000000, share);
create or replace temp table k8s_shared as
with devices as (
    select pod_no, gpu_id, sum(cores) as cores, sum(memory) as memory
    from (
        select
            pod_no,
            regexp_replace(split_part(device, ',', 1), '\[.*$', '') as gpu_id,
            split_part(device, ',', 4)::bigint as cores,
            split_part(device, ',', 3)::bigint as memory
        from (
            select pod_no, unnest(regexp_extract_all(hami, '[^,:;]+,[^,:;]+,[0-9]{1,9},[0-9]{1,9}')) as device
            from k8s_gpu_facts
            where hami is not null
        )
    )
    group by all
),

containers as (
    select
        pod_no,
        container_no,
        sum(billionths) filter (kind = 'vgpu' or (kind = 'gpu' and is_nvidia)) // 1000000000 as gpus,
        max(billionths) filter (kind = 'cores') // 1000000000 as cores,
        max(billionths) filter (kind = 'memory_percent') // 1000000000 as percent,
        max(billionths) filter (kind = 'memory') as memory
    from k8s_container_requests inner join k8s_resources using (resource)
    where not is_init
    group by all
    having gpus > 0
),

asked as (
    select
        pod_no,
        sum(gpus)::bigint as gpus,
        (sum(gpus * coalesce(
            nullif(cores, 0) * 10000, nullif(percent, 0) * 10000, (nullif(memory, 0) // 1000 + gpu_mib // 2) // gpu_mib
        )) // sum(gpus))::bigint as share,
        sum(gpus * memory) // sum(gpus) as memory,
        bool_or(cores is not null or percent is not null or memory is not null) as is_hami
    from containers inner join k8s_gpu_facts using (pod_no)
    group by pod_no
),

allocated as (
    select
        pod_no,
        count(*) as gpus,
        case when bool_and(cores > 0) then sum(cores) * 10000 // count(*) end as core_share,
        (sum(memory) * 1000000 / count(*) / any_value(gpu_mib))::bigint as memory_share,
        (sum(memory) * 1000000000 // count(*))::hugeint as memory,
        string_agg(gpu_id, ',' order by gpu_id) as gpu_ids
    from devices inner join k8s_gpu_facts using (pod_no)
    group by pod_no
)

select
    pod_no,
    coalesce(allocated.gpus, asked.gpus) as gpus,
    k8s_at_most_one(coalesce(core_share, share, memory_share)) as share,
    nullif(coalesce(allocated.memory, asked.memory), 0) as memory,
    gpu_ids,
    'hami' as sharing
from allocated full join asked using (pod_no)
where allocated.pod_no is not null or is_hami

union all by name

select
    pod_no,
    fraction_devices as gpus,
    k8s_at_most_one(coalesce(fraction // 1000, (fraction_memory // 1000 + gpu_mib // 2) // gpu_mib))::bigint as share,
    fraction_memory as memory,
    'time_slicing' as sharing
from k8s_gpu_facts
where coalesce(fraction, fraction_memory) > 0

union all by name

select
    pod_no,
    1 as gpus,
    k8s_at_most_one((coalesce(share_part, billionths / 1000000000) * 1000000 / share_whole)::bigint) as share,
    nullif(share_id, '-1') as gpu_ids,
    'time_slicing' as sharing
from k8s_pod_requests
inner join k8s_resources using (resource)
inner join k8s_gpu_facts using (pod_no)
where kind = 'gpushare'
"""

GPUS = """
create or replace temp table k8s_gpus as
with plain as (
    select
        pod_no,
        requests.resource,
        billionths // 1000000000 as gpus,
        coalesce(profile, if(is_nvidia, single_profile, null)) as gpu_profile,
        coalesce(stated_replicas, if(gpu_profile is null or single_profile is not null, hinted_replicas, null)) as replicas,
        is_nvidia and (is_shared or coalesce(replicas, 1) > 1) as is_cut,
        case
            when own_share is not null then own_share
            when is_cut and coalesce(replicas, 1) > 1 then (1000000 + replicas // 2) // replicas
            when not is_cut then 1000000
        end as share,
        case when is_cut then facts.sharing when gpu_profile is not null then 'mig' else 'exclusive' end as sharing
    from k8s_pod_requests as requests
    inner join k8s_resources using (resource)
    inner join k8s_gpu_facts as facts using (pod_no)
    left join (select distinct pod_no, true as is_shared_out from k8s_shared) using (pod_no)
    where kind in ('gpu', 'mig', 'vgpu') and billionths >= 1000000000
        and not (is_shared_out is not null and (is_nvidia or kind = 'vgpu'))
)

select *, row_number() over (partition by pod_no order by gpu_profile nulls first, resource) as place
from (
    select
        pod_no, resource, gpus, share, sharing, gpu_profile, ids.gpu_ids,
        null::hugeint as memory
    from plain left join k8s_device_ids as ids using (pod_no, resource)
    union all by name
    select pod_no, 'shared' as resource, gpus, share, sharing, gpu_ids, memory from k8s_shared
    union all by name
    select pod_no, resource, gpus, share, sharing, gpu_profile, gpu_ids from k8s_claimed
)
"""


def statements(source: Source, keys: Keys) -> list[str]:
    """The SQL that makes ``k8s_gpus`` (pod_no, place, resource, gpus, share, sharing, gpu_profile, gpu_ids, memory) and ``k8s_gpu_facts``.

    It reads ``k8s_pods`` (pod_no, node, labels, annotations, hints), ``k8s_container_requests`` (pod_no, container_no, is_init, resource,
    billionths), ``k8s_pod_requests`` (pod_no, resource, billionths), ``k8s_device_ids`` and ``k8s_claimed``.

    Raises:
        ConfigError: an option makes no sense.
    """
    others = accelerators(source)
    sharing = source.option("sharing", "time_slicing", _SHARINGS)
    facts = _POD_FACTS.format(
        replicas=by_node(source, "replicas", keys),
        hinted_replicas=keys.of("hints", "nvidia.com/gpu.replicas", "cloud.google.com/gke-max-shared-clients-per-gpu"),
        strategy=keys.of("hints", "nvidia.com/gpu.sharing-strategy", "cloud.google.com/gke-gpu-sharing-strategy"),
        sharing=text(sharing),
        memory=by_node(source, "gpu_memory_mib", keys),
        hinted_memory=keys.of("hints", "nvidia.com/gpu.memory"),
        product=keys.of("hints", *PRODUCTS),
        partition=keys.of("hints", "cloud.google.com/gke-gpu-partition-size"),
        hami=keys.of("annotations", "hami.io/vgpu-devices-allocated"),
        fraction=keys.of("annotations", "gpu-fraction"),
        fraction_devices=keys.of("annotations", "gpu-fraction-num-devices"),
        fraction_memory=keys.of("annotations", "gpu-memory"),
        share_part=keys.of("annotations", "ALIYUN_COM_GPU_MEM_POD"),
        share_whole=keys.of("annotations", "ALIYUN_COM_GPU_MEM_DEV"),
        share_id=keys.of("annotations", "ALIYUN_COM_GPU_MEM_IDX"),
    )
    resources = RESOURCES.format(
        others=", ".join(map(text, others)) or "''",
        shares=" ".join(f"when name = {text(name)} then {share}" for name, share in others.items()),
    )
    return [resources, facts, _SHARED, GPUS]
