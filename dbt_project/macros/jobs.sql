{# Outcomes of an attempt that did not succeed: what it did since its last checkpoint is lost. #}
{% macro unsuccessful() -%} ('failed', 'preempted', 'cancelled', 'timed_out') {%- endmacro %}

{#
  Which job a name means on a day: rows of (usage_date, job_id, named_cluster) of `names` with the job's source and cluster beside them;
  none for a name that no job has. Of several jobs of one id the one that lived on that day, else the first by source and cluster.
#}
{% macro jobs_named(names) -%}
    select names.usage_date, names.job_id, names.named_cluster, jobs.source_name as job_source, jobs.cluster as job_cluster
    from (select distinct usage_date, job_id, named_cluster from {{ names }} where job_id is not null) as names
    inner join {{ ref('int_jobs') }} as jobs
        on names.job_id = jobs.job_id and (names.named_cluster is null or jobs.cluster in ('', names.named_cluster))
    qualify row_number() over (
        partition by names.usage_date, names.job_id, names.named_cluster
        order by coalesce(names.usage_date between jobs.first_at::date and jobs.last_at::date, false) desc, jobs.source_name, jobs.cluster
    ) = 1
{%- endmacro %}

{#
  (usage_date, trace_id, span_id, job_id): every span at or below one of `spans` that names a job, with the nearest such job above it.
  A span that names another job begins anew; a circle of parents ends by itself.
#}
{% macro jobs_of_spans(spans) -%}
    with recursive reached as (
        select usage_date, trace_id, span_id, job_id from {{ spans }} where job_id is not null
        union
        select children.usage_date, children.trace_id, children.span_id, reached.job_id
        from reached
        inner join {{ spans }} as children
            on reached.usage_date = children.usage_date and reached.trace_id = children.trace_id and children.parent_span_id = reached.span_id
        where children.job_id is null
    )

    select usage_date, trace_id, span_id, job_id from reached
{%- endmacro %}
