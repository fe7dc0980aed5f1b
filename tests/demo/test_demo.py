"""The demo's world: the same every time, as large as it says, and with a truth that its bills bear out exactly."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tollbook.demo import SCALES, generate
from tollbook.workspace import Workspace, canonical_tables

BILLS = ("cloud_bill", "onprem_ledger", "vendor_bill")
DAYS = 2


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo")
    generate(directory, "s", DAYS, 1)
    return directory


def rows(directory, query, **places):
    """Run ``query``; ``{source}`` stands for that source's files, ``{truth}`` for the truth's folder."""
    found = {
        source.name: f"read_parquet('{directory / 'landing' / source.name}/*.parquet')" for source in Workspace.open(directory).sources
    }
    bills = " union all by name ".join(f"select * from {found[bill]}" for bill in BILLS)
    with duckdb.connect() as db:
        return db.execute(query.format(**found, bills=f"({bills})", truth=directory / "truth", **places)).fetchall()


def content(directory):
    return {file.relative_to(directory): file.read_bytes() for file in directory.rglob("*") if file.is_file()}


def test_the_same_seed_gives_the_same_files(demo, tmp_path):
    generate(tmp_path, "s", DAYS, 1)
    assert content(tmp_path) == content(demo)


def test_another_seed_gives_another_world_in_every_source(demo, tmp_path):
    generate(tmp_path, "s", DAYS, 2)
    one, other = content(demo), content(tmp_path)
    same = {path.parts[1] for path in one if path.parts[0] == "landing" and one[path] == other[path]}
    # nodes and their prices are no matter of chance
    assert same == {"fleet", "onprem_ledger"}
    assert one[Path("truth/totals.json")] != other[Path("truth/totals.json")]


@pytest.mark.parametrize("day", [date(2026, 10, 1), date(2026, 10, 2)])
def test_a_day_is_as_large_as_the_scale_says(demo, day):
    scale, landing = SCALES["s"], demo / "landing"
    with duckdb.connect() as db:
        counts = {
            source: db.execute("select count(*) from read_parquet(?)", [str(landing / source / f"{day}.parquet")]).fetchone()[0]
            for source in (*BILLS, "fleet", "k8s", "gateway", "dcgm")
        }
    jobs = [line for line in (landing / "slurm" / f"{day}.txt").read_text().splitlines()[1:] if "." not in line.split("|")[0]]
    assert sum(counts[bill] for bill in BILLS) == scale.billing_lines == 20_000
    assert counts["gateway"] == scale.requests == 50_000
    assert counts["dcgm"] == 64 * 24 * 60
    assert counts["k8s"] + len(jobs) == scale.holdings == 400
    assert scale.gpus == 64


def test_the_larger_scales_are_as_large_as_they_say():
    sizes = {
        name: (scale.gpus, scale.gpus * 86400 // scale.sample_seconds, scale.requests, scale.billing_lines, scale.holdings)
        for name, scale in SCALES.items()
    }
    assert sizes["m"] == (1_000, 2_880_000, 2_000_000, 200_000, 6_000)
    assert sizes["l"] == (10_000, 28_800_000, 20_000_000, 2_000_000, 60_000)
    assert [len(SCALES[name].teams) for name in "sml"] == [4, 40, 40]


def test_each_source_has_a_file_of_each_day_in_columns_that_are_known(demo):
    for source in Workspace.open(demo).sources:
        files = sorted((demo / "landing" / source.name).iterdir())
        assert [file.stem for file in files] == ["2026-10-01", "2026-10-02"]
        if source.format or source.select:
            continue
        columns = {row[0] for row in rows(demo, "describe select * from {" + source.name + "}")}
        assert columns <= set(canonical_tables()[source.table]["columns"])


def test_what_the_vendor_bills_is_tokens_times_price(demo):
    ((lines, wrong),) = rows(
        demo,
        "select count(*), count(*) filter (BilledCost <> ConsumedQuantity::decimal(18, 0) * ListUnitPrice::decimal(9, 2) * 0.000001) from {vendor_bill}",
    )
    assert (lines, wrong) == (DAYS * 24 * 2 * 3, 0)
    unequal = rows(
        demo,
        """
        with billed as (
            select SkuPriceDetails->>'ModelId' as model, SkuPriceDetails->>'TokenType' as kind, sum(ConsumedQuantity) as tokens
            from {vendor_bill} group by all
        ),
        asked as (
            select model, unnest(['input', 'cached_input', 'output']) as kind,
                unnest([sum(prompt_tokens - cached_tokens), sum(cached_tokens), sum(completion_tokens)]) as tokens
            from {gateway} where vendor = 'Lumen AI' group by model
        )
        select * from billed full join asked using (model, kind) where billed.tokens is distinct from asked.tokens
        """,
    )
    assert unequal == []


def test_the_truth_adds_up_to_the_bills_of_each_day_exactly(demo):
    differing = rows(
        demo,
        """
        with billed as (select ChargePeriodStart::date as usage_date, sum(EffectiveCost) as cost from {bills} group by all),
        owed as (select usage_date, sum(cost) as cost from '{truth}/team_costs.parquet' group by all)
        select * from billed full join owed using (usage_date) where billed.cost is distinct from owed.cost
        """,
    )
    assert differing == []


def test_the_layers_of_a_pool_add_up_to_what_its_nodes_cost_and_were(demo):
    differing = rows(
        demo,
        """
        with nodes as (select distinct pool, resource_id from {fleet}),
        billed as (
            select ChargePeriodStart::date as usage_date, pool, sum(EffectiveCost) as cost
            from {bills} inner join nodes on ResourceId = resource_id group by all
        ),
        existing as (
            select started_at::date as usage_date, pool, sum(gpu_count * date_diff('second', started_at, ended_at)) as seconds
            from {fleet} group by all
        ),
        layers as (
            select usage_date, pool, sum(cost) as cost, sum(gpu_seconds) as seconds, min(gpu_seconds) as least_seconds
            from '{truth}/gpu_hours.parquet' group by all
        )
        select * from layers full join billed using (usage_date, pool) full join existing using (usage_date, pool)
        where layers.cost is distinct from billed.cost or layers.seconds is distinct from existing.seconds or least_seconds < 0
        """,
    )
    assert differing == []


def test_the_held_time_of_pods_is_what_they_say(demo):
    """Pods as delivered, cut at the end of the world, hold what the truth says of their pools."""
    ((said,),) = rows(
        demo,
        "select sum(gpu_count * gpu_share * date_diff('second', started_at, coalesce(ended_at, '2026-10-03'))) from {k8s}",
    )
    ((true,),) = rows(demo, "select sum(gpu_seconds) from '{truth}/gpu_hours.parquet' where layer = 'held' and pool <> 'l40s'")
    assert said == true


def test_no_gpu_is_held_twice_at_a_time(demo):
    overlaps = rows(
        demo,
        """
        with held as (
            select unnest(string_split(gpu_ids, ',')) as gpu_id, started_at, ended_at from {k8s} where gpu_ids <> '' and started_at is not null
        )
        select * from (
            select *, lead(started_at) over (partition by gpu_id order by started_at) as next_started_at from held
        ) where next_started_at < coalesce(ended_at, timestamp '2026-10-03')
        """,
    )
    assert overlaps == []


def test_a_self_hosted_models_cost_is_shared_out_by_tokens_without_a_remainder(demo):
    shares = rows(
        demo,
        """
        select *, sum(cost) over day as day_cost, sum(token_count) over day as day_tokens
        from '{truth}/tokens.parquet' where provider_name is null
        window day as (partition by usage_date, model)
        """,
    )
    assert len(shares) == DAYS * 2 * 5 * 12  # two models, four teams and none, twelve customers
    for *_, tokens, cost, day_cost, day_tokens in shares:
        assert cost * day_tokens == day_cost * tokens
    # two and four GPUs all day, at 3.60 an hour
    assert {share[-2] for share in shares} == {Decimal("172.80"), Decimal("345.60")}


def test_the_world_has_the_dirt_of_a_real_one(demo):
    ((untagged, capitals),) = rows(
        demo,
        """select count(*) filter (Tags is null or not contains(lower(Tags), '"team"')), count(*) filter (contains(Tags, '"TEAM"'))
        from {cloud_bill} where ResourceId like 'res-%'""",
    )
    assert untagged > 1000 and capitals > 1000
    pods = rows(
        demo,
        """
        select
            count(*) filter (gpu_share < 1), count(*) filter (gpu_count > 1), count(*) filter (started_at is null),
            count(*) filter (started_at::date < ended_at::date), count(*) filter (attempt > 1),
            count(*) filter (not contains(lower(labels), '"team"') and started_at is not null), count(*) filter (ended_at is null)
        from {k8s}
        """,
    )
    assert all(count > 0 for count in pods[0])
    ((teamless, unpriced),) = rows(demo, "select count(*) filter (team is null), count(*) filter (model = 'nova-mini') from {gateway}")
    assert teamless > 0 and unpriced == DAYS * 50_000 // 40
    text = (demo / "landing/slurm/2026-10-01.txt").read_text()
    assert all(word in text for word in ("slurm-n[0001-0002]", ".batch|", "CANCELLED by", "gres/gpu:l40s=8"))


def test_totals_are_the_sums_of_the_other_truths(demo):
    totals = json.loads((demo / "truth" / "totals.json").read_text())
    ((cost,),) = rows(demo, "select sum(cost)::varchar from '{truth}/team_costs.parquet'")
    ((summed,),) = rows(demo, "select (" + " + ".join(f"{row['cost']}::decimal(38, 12)" for row in totals["costs"]) + ")::varchar")
    assert summed == cost
    assert {row["model"]: row["cost"] is None for row in totals["models"]} == {
        "falcon-7b": False,
        "heron-32b": False,
        "lumen-large": False,
        "lumen-small": False,
        "nova-mini": True,
    }


def test_days_over_the_end_of_a_month_belong_to_two_billing_periods(tmp_path):
    generate(tmp_path, "s", 2, 3, date(2026, 10, 31))
    periods = rows(tmp_path, "select distinct ChargePeriodStart::date, BillingPeriodStart::date, BillingPeriodEnd::date from {bills}")
    assert sorted(periods) == [
        (date(2026, 10, 31), date(2026, 10, 1), date(2026, 11, 1)),
        (date(2026, 11, 1), date(2026, 11, 1), date(2026, 12, 1)),
    ]
    ((lines,),) = rows(tmp_path, "select count(*) from {bills}")
    assert lines == 2 * 20_000


def test_a_world_without_days_is_refused(tmp_path):
    with pytest.raises(ValueError, match="days must be at least 1"):
        generate(tmp_path, "s", 0, 1)
    assert not (tmp_path / "tollbook.yml").exists()
