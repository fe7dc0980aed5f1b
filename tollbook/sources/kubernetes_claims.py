"""GPUs by dynamic resource allocation: pods' ResourceClaims of the same file (resource.k8s.io, v1beta1 to v1) and what they were given.

- ``status.allocation.devices.results`` names driver, pool and device; a driver with gpu, tpu, npu, neuron or gaudi in its name gives GPUs.
  Access as an administrator holds nothing.
- A device's UUID and MIG profile stand in the ResourceSlices, where the file has them. Without them devices are counted, not named; a
  profile is read off the device's name (``gpu-0-mig-1g.5gb-…``).
- A claim that several pods reserved is shared evenly among them.
"""

CLAIMS = r"""
create or replace temp table k8s_claimed as
with claims as (
    select
        item->>'$.metadata.namespace' as namespace,
        item->>'$.metadata.name' as claim,
        json_transform(item->'$.status', '{"allocation": {"devices": {"results": [{
            "driver": "VARCHAR", "pool": "VARCHAR", "device": "VARCHAR", "adminAccess": "VARCHAR"
        }]}}, "reservedFor": [{"resource": "VARCHAR"}]}') as status
    from k8s_objects
    where kind = 'ResourceClaim'
    qualify row_number() over (
        partition by namespace, claim order by (item->'$.status.allocation.devices') is not null desc, object_no desc
    ) = 1
),

slices as (
    select
        item->>'$.spec.driver' as driver,
        item->>'$.spec.pool.name' as pool,
        unnest((item->'$.spec.devices')::json[]) as device
    from k8s_objects
    where kind = 'ResourceSlice' and json_type(item, '$.spec.devices') = 'ARRAY'
),

devices as (
    select
        driver,
        pool,
        device->>'$.name' as device,
        coalesce(device->>'$.attributes.uuid.string', device->>'$.basic.attributes.uuid.string') as gpu_id,
        coalesce(device->>'$.attributes.profile.string', device->>'$.basic.attributes.profile.string') as profile
    from slices
    qualify row_number() over (partition by driver, pool, device->>'$.name') = 1
),

results as (
    select
        namespace,
        claim,
        greatest(len(list_filter(status.reservedFor, lambda holder: holder.resource = 'pods')), 1) as pods,
        unnest(status.allocation.devices.results) as result
    from claims
),

given as (
    select
        namespace, claim, pods, result.driver as driver, gpu_id,
        coalesce(profile, nullif(regexp_extract(result.device, '-mig-([0-9]+g[.-]?[0-9]+gb)', 1), '')) as gpu_profile
    from results
    left join devices
        on result.driver = devices.driver and result.pool = devices.pool and result.device = devices.device
    where regexp_matches(lower(result.driver), 'gpu|tpu|npu|neuron|gaudi') and coalesce(result.adminAccess, 'false') <> 'true'
),

wanted as (
    select pod_no, namespace, unnest(claim_names) as claim from k8s_pods where len(claim_names) > 0
)

select
    pod_no,
    'claim ' || given.driver as resource,
    count(*) as gpus,
    (1000000 + pods // 2) // pods as share,
    if(pods > 1, 'time_slicing', if(gpu_profile is null, 'exclusive', 'mig')) as sharing,
    gpu_profile,
    case when count(gpu_id) = count(*) then string_agg(gpu_id, ',' order by gpu_id) end as gpu_ids
from wanted inner join given using (namespace, claim)
group by pod_no, given.driver, pods, gpu_profile
"""

# a claim that is not in the file, or not allocated, was asked for: how many GPUs, nobody says
UNCLAIMED = """
create or replace temp table k8s_unclaimed as
select distinct pod_no
from k8s_pods
where len(claim_names) > 0 and pod_no not in (select pod_no from k8s_claimed)
"""
