"""Which days a delivery touches: the next build computes those, and only those."""

from __future__ import annotations

from tollbook.workspace import Source, canonical_tables


def by_delivery(db, source: Source, delivery_id: str) -> None:
    """Note the days that the delivery covers, and from when it has something without an end."""
    if source.table == "prices":
        by_prices(db, source, delivery_id)
        return
    start, end = canonical_tables()[source.table]["span"]
    end = f"coalesce({end}, {start})"
    if source.table == "billing_lines":
        # a charge is spread no further than its billing period
        end = "case when billing_period_end > charge_period_start then least(charge_period_end, billing_period_end) else charge_period_end end"
    if source.table == "holdings":
        # what never started belongs to the day of its submission
        start, end = (f"coalesce({moment}, submitted_at, '1970-01-01')" for moment in (start, end))
    db.execute(
        f"""
        insert into meta.delivery_days
        with spans as (
            select distinct
                date_trunc('day', {start}) as first_day, date_trunc('day', {end} - interval 1 microsecond) as last_day
            from raw.{source.table}
            where source_name = ? and delivery_id = ?
        )
        select distinct ?, ?, unnest(generate_series(first_day, greatest(first_day, last_day), interval 1 day))::date
        from spans
        """,
        [source.name, delivery_id, source.name, delivery_id],
    )
    by_open_ends(db, source, delivery_id)
    db.execute(
        "insert into meta.touched_days select usage_date, ? from meta.delivery_days where source_name = ? and delivery_id = ?",
        [source.table, source.name, delivery_id],
    )


def by_prices(db, source: Source, delivery_id: str) -> None:
    """Note the days whose usage the delivery's prices may price: a price is of no day itself, it holds from when it holds.

    What comes to these days later touches them itself, so only what is loaded already counts here.
    """
    for table, is_of_nodes in (("requests", False), ("vendor_usage", False), ("capacity", True)):
        span = db.execute(
            "select min(coalesce(valid_from, '1970-01-01')), max(coalesce(valid_to, '9999-12-31')) from raw.prices"
            " where source_name = ? and delivery_id = ? and (lower(price_kind) in ('node_hour', 'gpu_hour')) = ?",
            [source.name, delivery_id, is_of_nodes],
        ).fetchone()
        if span[0] is None:
            continue
        db.execute(
            "insert into meta.touched_days select distinct usage_date, 'prices' from meta.delivery_days"
            " inner join meta.deliveries using (source_name, delivery_id)"
            " where table_name = ? and is_current and usage_date between ?::date and ?::date",
            [table, *span],
        )
        if is_of_nodes:
            db.execute(
                "insert into meta.touched_open select greatest(min(started_at), ?::timestamp)::date from raw.capacity"
                " where ended_at is null having min(started_at) is not null",
                [span[0]],
            )


def by_open_ends(db, source: Source, delivery_id: str) -> None:
    """Note from when the delivery has, or decides, something without an end: another delivery may repeat its attempts."""
    if source.table == "assets":
        db.execute(_ASSETS_REACH, [source.name, delivery_id])
    if source.table not in ("holdings", "capacity", "gpu_instances", "attachments"):
        return
    key = {"holdings": "holding_id", "capacity": "node"}.get(source.table)
    repeated = f" or {key} in (select {key} from raw.{source.table} where source_name = $1 and delivery_id = $2)" if key else ""
    db.execute(
        f"insert into meta.touched_open select min(started_at)::date from raw.{source.table} where source_name = $1"
        f" and ended_at is null and (delivery_id = $2{repeated})"
        " having min(started_at) is not null",
        [source.name, delivery_id],
    )


# An asset costs something every day of its life, and decides the life of its upgrades and the node of its running costs.
_ASSETS_REACH = """
insert into meta.touched_open
with recursive reached as (
    select asset_id from raw.assets where source_name = $1 and delivery_id = $2
    union
    select upgrades.asset_id from raw.assets as upgrades
    inner join reached on upgrades.upgrade_of = reached.asset_id
    where upgrades.source_name = $1
)
select min(started_at)::date as open_from
from (
    select in_service_at as started_at from raw.assets where source_name = $1 and asset_id in (select asset_id from reached)
    union all
    select started_at from raw.asset_costs where asset_id in (select asset_id from reached)
)
having min(started_at) is not null
"""
