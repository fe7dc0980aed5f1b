"""Kubernetes quantities (``500m``, ``1.5Gi``, ``2e3``) as exact numbers: integers of billionths, as finely as Kubernetes itself counts.

Memory and disk are handed on in GB of 2^30 bytes, as Slurm's are; millionths of them are rounded half up.
"""

# number, decimal digits, suffix; a lone E is 10^18, with digits behind it an exponent
_FORM = r"^([+-]?)([0-9]*)(?:[.]([0-9]*))?(?:[eE]([+-]?[0-9]{1,2})|([numkMGTPE]|[KMGTPE]i)?)$"

MACROS = rf"""
create or replace temp macro k8s_factor(suffix) as case suffix
    when 'n' then 1 when 'u' then 1000 when 'm' then 1000000 when '' then 1000000000 when 'k' then 1000000000000
    when 'M' then 1000000000000000 when 'G' then 1000000000000000000 when 'T' then 1000000000000000000000
    when 'P' then 1000000000000000000000000 when 'E' then 1000000000000000000000000000
    when 'Ki' then 1024000000000 when 'Mi' then 1048576000000000 when 'Gi' then 1073741824000000000
    when 'Ti' then 1099511627776000000000 when 'Pi' then 1125899906842624000000000 when 'Ei' then 1152921504606846976000000000
end::hugeint;
create or replace temp macro k8s_scaled(whole, part, factor) as
    whole * factor + if(part = '', 0::hugeint, rpad(part[:9], 9, '0')::hugeint * factor // 1000000000);
create or replace temp macro k8s_powered(whole, part, power) as case
    when power >= -9 and power <= 18 and len(whole) + power <= 27
        then rpad(whole || rpad(part[:27], 27, '0'), (len(whole) + 27)::int, '0')[:(len(whole) + power + 9)::int]
end;
-- billionths, or NULL for what is no quantity
create or replace temp macro k8s_billionths(t) as
    if(regexp_extract(t, '{_FORM}', 1) = '-', -1, 1) * case
        when not regexp_matches(t, '{_FORM}') or not regexp_matches(t, '[0-9]') then null
        when regexp_extract(t, '{_FORM}', 4) <> '' then try_cast(k8s_powered(
            regexp_extract(t, '{_FORM}', 2), regexp_extract(t, '{_FORM}', 3), regexp_extract(t, '{_FORM}', 4)::int
        ) as hugeint)
        else try(k8s_scaled(
            coalesce(try_cast(nullif(regexp_extract(t, '{_FORM}', 2), '') as hugeint), 0::hugeint),
            regexp_extract(t, '{_FORM}', 3),
            k8s_factor(regexp_extract(t, '{_FORM}', 5))
        ))
    end;
create or replace temp macro k8s_decimal(millionths) as
    try_cast((millionths // 1000000)::varchar || '.' || lpad((millionths % 1000000)::varchar, 6, '0') as decimal(18, 6));
-- of billionths: a count, and GB of 2^30 bytes
create or replace temp macro k8s_count(billionths) as k8s_decimal((billionths + 500) // 1000);
create or replace temp macro k8s_gb(billionths) as k8s_decimal((billionths + 536870912000) // 1073741824000);
"""
