"""What vendors answered about the tokens of 789 requests, by the documented tollbook.yml: every count, and every published price."""

import shutil
from decimal import Decimal

import pytest

from tollbook import pipeline
from tollbook.workspace import Workspace

# 1,731 combinations of payload, provider and API have a published price. It was taken from another edition of the list than the one
# that is published as data.json; where that one cannot give the same number, it is here.
NOT_LISTED = {  # NULL and counted, not 0
    ("aws", "openai.gpt-5.6-luna"): 3,  # the list has openai.gpt-5.4 and 5.5 of AWS, and no pattern for others
    ("zai", "glm-5.2"): 1,  # the list has no provider zai (it calls it zhipuai)
    ("cerebras", "qwen-3-coder-480b"): 1,  # listed without any price, which the published price counts as 0
}
# the list has one output price for image models, of their images; the published ones have another for the words beside them
ONE_OUTPUT_PRICE = {("google", "gemini-2.5-flash-image"): 3, ("google", "gemini-3-pro-image-preview"): 1}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    from conftest import REPO, find_shared_data

    data = find_shared_data("genai_usages")
    root = tmp_path_factory.mktemp("tokens")
    shutil.copy(REPO / "docs" / "examples" / "public-tokens" / "tollbook.yml", root)
    (root / "landing").symlink_to(data)
    workspace = Workspace.open(root)
    quarantined = {}
    for report in pipeline.load(workspace, tell=lambda _: None):
        assert report.failures == []
        quarantined[report.source] = report.quarantined
    assert quarantined == {"list_prices": 157, "usages": 0}  # models without a price, each named
    pipeline.build(workspace, tell=lambda _: None)
    return workspace


@pytest.fixture(scope="module")
def ask(built):
    with built.connect(read_only=True) as db:
        file = (built.root / "landing" / "genai_usages" / "usages_priced.parquet").as_posix()
        db.execute(
            "create temp table published as select seq || ' ' || api_flavor as feature, seq, provider_id, model, api_flavor,"
            f" input_price::decimal(38, 12) as input_price, output_price::decimal(38, 12) as output_price, extracted::json as extracted"
            f" from read_parquet('{file}')"
        )
        yield lambda query: db.execute(query).fetchall()


JOINED = (
    "from published left join intermediate.int_token_days__priced as priced"
    " on published.feature = priced.feature and published.provider_id = priced.provider"
)


def test_all_payloads_are_requests(ask):
    assert ask("select count(*), count(distinct split_part(feature, ' ', 1)) from raw.requests") == [(9545, 789)]


def test_every_count_is_what_the_vendors_own_reader_takes_from_the_payload(ask):
    # there, writes to the cache and cached audio count as input and as audio; a count of 0 is left out
    ours = {
        "input_tokens": "coalesce(input_tokens, 0) + coalesce(cache_write_tokens, 0)",
        "output_tokens": "coalesce(output_tokens, 0)",
        "cache_read_tokens": "coalesce(cached_input_tokens, 0)",
        "cache_write_tokens": "coalesce(cache_write_tokens, 0)",
        "input_audio_tokens": "coalesce(input_audio_tokens, 0) + coalesce(cached_input_audio_tokens, 0)",
        "cache_audio_read_tokens": "coalesce(cached_input_audio_tokens, 0)",
        "output_audio_tokens": "coalesce(output_audio_tokens, 0)",
        "output_image_tokens": "coalesce(output_image_tokens, 0)",
    }
    differences = {}
    for theirs, count in ours.items():
        differences[theirs] = ask(
            "select count(*) from published inner join raw.requests as requests on published.feature = requests.feature"
            f" and published.provider_id = requests.provider where input_price is not null"
            f" and {count} <> coalesce(json_extract_string(extracted, '$.{theirs}')::bigint, 0)"
        )[0][0]
    assert differences == dict.fromkeys(ours, 0)
    assert ask(
        "select count(*), sum(cached_input_tokens), sum(cache_write_tokens) from raw.requests where provider = 'anthropic'"
        " and feature like '% default' and cached_input_tokens > 0"
    ) == [(7, 58_948, 12_645)]


def test_every_published_price_but_those_the_list_does_not_have(ask):
    assert ask(f"select count(*), count(priced.feature) {JOINED} where published.input_price is not null") == [(1731, 1731)]
    unlisted = (
        f"select provider_id, published.model, count(*) {JOINED} where input_price is not null and list_input_cost is null group by all"
    )
    assert {row[:2]: row[2] for row in ask(unlisted)} == NOT_LISTED
    other_input = f"select count(*) {JOINED} where list_input_cost <> input_price"
    assert ask(other_input) == [(0,)]
    other_output = f"select provider_id, published.model, count(*) {JOINED} where list_output_cost <> output_price group by all"
    assert {row[:2]: row[2] for row in ask(other_output)} == ONE_OUTPUT_PRICE
    exact = f"select count(*) {JOINED} where list_input_cost = input_price and list_output_cost = output_price"
    assert ask(exact) == [(1731 - 5 - 4,)]


def test_the_image_models_of_which_the_list_has_one_output_price(ask):
    # 1,290 tokens of an image and 14 of words at 30; the words at 2.50 elsewhere
    query = f"select list_output_cost, output_price {JOINED} where seq = 70 and provider_id = 'google' and api_flavor = 'default'"
    ((ours, published),) = ask(query)
    ((images, tokens),) = ask(
        "select output_image_tokens, output_tokens from raw.requests where feature = '70 default' and provider = 'google'"
    )
    assert ours == tokens * Decimal("0.00003")
    assert published == images * Decimal("0.00003") + (tokens - images) * Decimal("0.0000025")


def test_totals_of_the_three_large_vendors(ask):
    query = (
        "select provider_id, api_flavor, count(list_input_cost), sum(list_input_cost), sum(list_output_cost)"
        f" {JOINED} where published.input_price is not null and provider_id in ('openai', 'anthropic', 'google') group by 1, 2 order by 1, 2"
    )
    found = {row[:2]: row[2:] for row in ask(query)}
    assert found[("anthropic", "default")] == (108, Decimal("2.8403302"), Decimal("0.18492"))
    assert found[("google", "anthropic")] == (108, Decimal("1.6359262"), Decimal("0.17898"))
    assert found[("openai", "chat")] == (91, Decimal("0.044301978"), Decimal("0.06621154"))
    assert found[("openai", "embeddings")] == (93, Decimal("0.039287138"), 0)
    assert found[("openai", "responses")] == (120, Decimal("0.2059519"), Decimal("0.359899"))
    assert found[("google", "default")][:2] == (221, Decimal("0.04770141"))


def test_what_has_no_price_is_counted(ask):
    # tokens of payloads read by the API of a provider that does not sell the model, and calls that the list has no price for
    ((unpriced,),) = ask("select sum(unpriced_tokens) from intermediate.int_token_days__priced")
    counted = dict(ask("select price_kind, sum(quantity)::bigint from quality.fct_unpriced_usage group by 1"))
    assert sum(quantity for kind, quantity in counted.items() if kind not in ("search", "image")) == unpriced > 0
    assert counted["search"] == ask("select sum(unpriced_calls) from intermediate.int_token_days__priced")[0][0] > 0
