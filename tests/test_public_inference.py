"""Public traces of model serving on a made-up own fleet, by the documented workspace: known tokens, and the fleet's cost to the last cent."""

import shutil
from decimal import Decimal

import pytest

from tests.workspaces import clean_night
from tollbook.workspace import Workspace

NEEDED = ("azure_llm_2023", "mooncake", "servegen", "alibaba_genai_v2026")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    from conftest import REPO, find_shared_data

    data = find_shared_data(*NEEDED)
    root = tmp_path_factory.mktemp("inference") / "workspace"
    shutil.copytree(REPO / "docs" / "examples" / "public-inference", root)
    (root / "landing").symlink_to(data)
    return clean_night(Workspace.open(root))


@pytest.fixture(scope="module")
def ask(built):
    with built.connect(read_only=True) as db:
        yield lambda query: db.execute(query).fetchall()


def test_tokens_of_the_traces(ask):
    assert ask(
        "select source_name, count(*), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens) from raw.requests"
        " where source_name in ('azure_llm', 'mooncake') group by 1 order by 1"
    ) == [("azure_llm", 8819, 18_059_974, None, 245_896), ("mooncake", 3993, 61_194_628, 39_852_661, 595_432)]
    assert ask(
        "select min(requested_at)::varchar, max(requested_at)::varchar, max(input_tokens) from raw.requests where source_name = 'azure_llm'"
    ) == [("2023-11-16 18:17:03.97996", "2023-11-16 19:14:19.928016", 7437)]
    assert ask("select max(requested_at)::varchar from raw.requests where source_name = 'mooncake'") == [("2025-01-01 00:17:02.025",)]


def test_requests_that_a_rate_stands_for(ask):
    # ten minutes without a request are no row
    assert ask(
        "select tenant, round(sum(sample_weight), 3), count(*), count(input_tokens) from raw.requests where model = 'deepseek-r1' group by 1 order by 1"
    ) == [("client 15", 33072, 141, 0), ("client 19", 32669, 144, 0), ("client 35", 395572, 116, 0), ("client 66", 41230, 143, 0)]


def test_images_by_how_their_requests_ended(ask):
    assert ask(
        "select status, count(*), sum(latency_ms)::bigint, sum(image_count), count(distinct tenant) from raw.requests"
        " where source_name = 'images' group by 1 order by 1"
    ) == [("failed", 233, 2_986_000, 485, 67), ("pending", 13, 0, None, 7), ("succeed", 14033, 374_322_000, 37_802, 2375)]
    assert ask(
        "select tenant, count(*), sum(latency_ms)::bigint from raw.requests where source_name = 'images' group by 1 order by 3 desc, 1 limit 2"
    ) == [("G0264", 1179, 24_758_000), ("G0316", 212, 14_650_000)]


def test_list_price_of_an_hour_of_azure(ask):
    # 18,059,974 × 2.5 + 245,896 × 10 per million
    assert ask("select sum(list_cost) from intermediate.int_token_days__priced where model = 'azure-code'") == [(Decimal("47.608895"),)]


def test_list_price_with_and_without_the_prefix_cache(ask):
    # 21,341,967 × 2.5 + 39,852,661 × 0.25 + 595,432 × 10 per million; each cached token is 2.25 cheaper
    assert ask("select sum(list_cost), sum(cache_saving_cost) from intermediate.int_token_days__priced where model = 'mooncake'") == [
        (Decimal("53.3549175") + Decimal("9.96316525") + Decimal("5.95432"), Decimal("89.66848725"))
    ]


def test_the_fleets_cost_is_the_models_cost(ask):
    """Nothing of what serving holdings cost is lost or made up, and what nobody held is not of a model."""
    expected = {
        "azure-code": 2 * 24, "mooncake": 24, "deepseek-r1": 24 * 24,
        "image-pipeline": 16 * 24 * Decimal(4) * 3 / 4,  # 3 of the 4 GPUs
    }  # fmt: skip
    assert dict(ask("select model, sum(serving_cost) from product.fct_token_costs group by 1")) == expected
    assert (
        dict(
            ask(
                "select model, sum(allocated_cost) from intermediate.int_slot_hours__allocated where is_held and model is not null group by 1"
            )
        )
        == expected
    )
    assert ask("select distinct basis, currency_code from product.fct_token_costs") == [("estimated", "USD")]
    assert ask("select sum(charged_cost), sum(charged_cost) filter (where bucket = 'idle') from intermediate.int_chargeback") == [
        (48 + 24 + 576 + 1536, 384)
    ]


def test_who_asked_for_images_pays_for_them(ask):
    # day by day in proportion to the images: 2024-11-30 has 648 of them on 72.00
    assert ask("select sum(image_count) from raw.requests where source_name = 'images' and requested_at >= '2024-11-30'") == [(648,)]
    ((tenant, images),) = ask(
        "select tenant, sum(image_count)::int from raw.requests where source_name = 'images' and requested_at >= '2024-11-30'"
        " group by 1 order by 2 desc, 1 limit 1"
    )
    ((cost,),) = ask(f"select sum(serving_cost) from product.fct_token_costs where usage_date = '2024-11-30' and tenant = '{tenant}'")
    assert abs(cost - Decimal(72) * images / 648) < Decimal("0.0000000001")
