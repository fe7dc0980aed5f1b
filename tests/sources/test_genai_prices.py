"""The reader of genai-prices: names, tiers, dates, hours, variants; and other price lists, mapped without code."""

import gzip
import json
from decimal import Decimal

import duckdb
import pytest

from tollbook import pipeline
from tollbook.errors import ConfigError, DeliveryError
from tollbook.sources import genai_prices
from tollbook.workspace import Source, canonical_tables


@pytest.fixture
def db():
    with duckdb.connect() as connection:
        yield connection


# what the list itself states, without the prices that stand for missing ones
STATED = "coalesce(json_extract_string(other_columns, '$.priced_as'), '') = ''"


def rows_of(db, file, columns, where=STATED, **options):
    source = Source(name="list", format="genai_prices", path="*.json", **options)
    select = genai_prices.project(db, file, source, "EUR")
    return db.execute(f"select {columns} from ({select}) where {where} order by all").fetchall()


@pytest.fixture
def read(db, tmp_path):
    """The rows of one provider's models, given as JSON text or objects."""

    def read(models, columns, provider="p", **options):
        file = tmp_path / "data.json"
        models = models if isinstance(models, str) else json.dumps(models)
        file.write_text(f'[{{"id": "{provider}", "name": "Name of {provider}", "models": {models}}}]')
        return rows_of(db, file, columns, **options)

    return read


def test_every_digit_of_a_price_stays(read):
    models = '[{"id": "m", "match": {"equals": "m"}, "prices": {"input_mtok": 0.18000000000000002, "output_mtok": 0.12345678901234567890}}]'
    assert read(models, "price_kind, price, per_quantity, currency") == [
        ("input", "0.18000000000000002", "1000000", "USD"),
        ("output", "0.12345678901234567890", "1000000", "USD"),
    ]


def test_kinds_and_what_they_are_for(read, db):
    prices = {"cache_read_mtok": 1, "cache_write_mtok": 2, "cache_write_1h_mtok": 3, "input_audio_mtok": 4, "cache_audio_read_mtok": 5}
    prices |= {"requests_kcount": 6, "web_searches_kcount": 7, "audio_hours": 8, "input_mchars": 9, "output_mtok": None}
    assert read([{"id": "m", "prices": prices}], "price::int, price_kind, per_quantity::int, sku, model") == [
        (1, "cached_input", 1_000_000, "m", "m"),
        (2, "cache_write_5m", 1_000_000, "m", "m"),
        (3, "cache_write_1h", 1_000_000, "m", "m"),
        (4, "input_audio", 1_000_000, "m", "m"),
        (5, "cached_input_audio", 1_000_000, "m", "m"),
        (6, "request", 1_000, "m", "m"),
        (7, "search", 1_000, "m", "m"),
    ]
    assert db.execute("select value, reason from unread order by all").fetchall() == [
        ("m: audio_hours", "is a price of a kind that no request counts; it prices nothing"),
        ("m: input_chars", "is a price of a kind that no request counts; it prices nothing"),
    ]


def test_what_has_no_price_of_its_own_is_priced_as_what_it_is_part_of(read):
    def instead(**prices):
        columns = "price_kind, json_extract_string(other_columns, '$.priced_as'), price::int"
        return {kind: (key, price) for kind, key, price in read([{"id": "m", "prices": prices}], columns, where="true")}

    assert instead(input_mtok=1, output_mtok=2) == {
        "input": (None, 1), "cached_input": ("input_mtok", 1), "cache_write_5m": ("input_mtok", 1), "cache_write_1h": ("input_mtok", 1),
        "input_audio": ("input_mtok", 1), "cached_input_audio": ("input_mtok", 1), "input_image": ("input_mtok", 1),
        "output": (None, 2), "output_audio": ("output_mtok", 2), "output_image": ("output_mtok", 2),
    }  # fmt: skip
    dearer = instead(input_mtok=1, cache_write_mtok=3, input_audio_mtok=4)
    assert (dearer["cache_write_1h"], dearer["cached_input_audio"]) == (("cache_write_mtok", 3), ("input_audio_mtok", 4))
    # cached audio is cached, and it is audio: which of the two prices it has, the list does not say
    assert "cached_input_audio" not in instead(input_mtok=1, cache_read_mtok=2, input_audio_mtok=4)
    assert instead(output_mtok=2).keys() == {"output", "output_audio", "output_image"}
    assert instead(cache_write_5m_mtok=3, input_mtok=1)["cache_write_5m"] == (None, 3)


def test_who_sells_the_models_of_others_has_their_prices_after_its_own(db, tmp_path):
    file = tmp_path / "data.json"
    model = {"id": "m", "prices": {"output_mtok": 1}}
    providers = [
        {"id": "a", "models": [model]},
        {"id": "b", "models": [model | {"prices": {"output_mtok": 2}}], "fallback_model_providers": ["a", "x"]},
    ]
    file.write_text(json.dumps(providers))
    assert rows_of(db, file, "provider, price::int, book, file_row") == [("a", 1, None, 1), ("b", 1, "list fallback", 1), ("b", 2, None, 2)]


def test_a_model_has_a_row_per_name_it_is_called_by(read, db):
    match = {"or": [{"equals": "a"}, {"starts_with": "b-"}, {"ends_with": "[c]"}, {"contains": "d"}, {"regex": "^e.*f$"}]}
    got = read([{"id": "m", "match": match, "prices": {"input_mtok": 1}}, {"id": "free", "prices": {}}], "model, other_columns, file_row")
    assert [row[0] for row in got] == ["*[[]c]", "*d*", "a", "b-*"]
    assert {json.dumps(json.loads(row[1])["match"]) for row in got} == {json.dumps(match)}  # what no pattern says is kept
    assert db.execute("select file_row, value, reason from unread order by all").fetchall() == [
        (1, "m", "is also called by names that cannot be read from its `match`"),
        (2, "free", "has no price in the list, which is not a price of 0"),
    ]


@pytest.mark.parametrize(
    "expression, pattern",
    [
        (r"^grok-4\.3-\d{8}$", "grok-4.3-" + "[0-9]" * 8), (r"^gemini-3\.5-flash-\d", "gemini-3.5-flash-[0-9]*"), ("sonar", "*sonar*"),
        (r"^x-ai/grok-\d$", "x-ai/grok-[0-9]"), ("^(a|b)$", None), ("a.b", None), ("a+", None), ("[ab]", None),
    ],
)  # fmt: skip
def test_a_regular_expression_of_digits_and_fixed_text_is_a_name(read, expression, pattern):
    match = {"or": [{"equals": "m"}, {"regex": expression}]}
    assert read([{"id": "m", "match": match, "prices": {"input_mtok": 1}}], "model") == sorted([("m",)] + [(pattern,)] * bool(pattern))


def test_a_tier_begins_above_its_start(read):
    # "start": 200000 holds for prompts of more than 200,000 tokens
    prices = {"input_mtok": {"base": 5, "tiers": [{"start": 200000, "price": 10.5}]}}
    assert read([{"id": "m", "prices": prices}], "quantity_from, price") == [("200001", "10.5"), (None, "5")]


def test_of_conditional_prices_the_last_that_holds_counts(read):
    def dated(start, price):
        return {"constraint": {"start_date": start}, "prices": {"input_mtok": price}}

    hours = {"constraint": {"start_time": "16:30:00Z", "end_time": "00:30:00Z"}, "prices": {"input_mtok": 9}}
    columns = "price::int, valid_from, valid_to, time_from, time_to"
    # what no constraint lets in has the first price, whatever its own date
    assert read([{"id": "m", "prices": [dated("2025-01-01", 1), hours, dated("2025-06-01", 2), dated("2025-09-01", 3)]}], columns) == [
        (1, None, "2025-06-01", None, None),
        (2, "2025-06-01", "2025-09-01", None, None),
        (3, "2025-09-01", None, None, None),
        (9, None, "2025-06-01", "16:30:00Z", "00:30:00Z"),
    ]
    assert read([{"id": "m", "prices": [dated("2025-01-01", 1), dated("2025-06-01", 2), dated("2025-03-01", 3)]}], columns) == [
        (1, None, "2025-03-01", None, None),
        (3, "2025-03-01", None, None, None),
    ]


def test_variants_are_prices_of_a_tier_or_region(read):
    model = {"id": "m", "prices": {"input_mtok": 4}, "price_variants": [
        {"when": {"processing": "batch"}, "prices": {"input_mtok": 2}, "constraint": {"start_date": "2026-10-14"}},
        {"when": {"region": "eu"}, "prices": {"input_mtok": 5}},
        {"when": {"speed": "fast"}, "prices": {"input_mtok": 6}},
    ]}  # fmt: skip
    assert read([model], "price::int, service_tier, region, valid_from") == [
        (2, "batch", None, "2026-10-14"),
        (4, None, None, None),
        (5, None, "eu", None),
        (6, "speed=fast", None, None),
    ]


def test_providers_are_named_as_on_their_bills(read):
    models = [{"id": "m", "prices": {"input_mtok": 1}}]
    assert read(models, "provider, currency", provider="aws") == [("AWS", "USD")]
    assert read(models, "provider, currency", provider="x", currency="EUR") == [("Name of x", "EUR")]
    assert read(models, "provider", provider="x", options={"providers": {"x": "X Ltd"}}) == [("X Ltd",)]
    with pytest.raises(ConfigError, match="option providers is 'x'"):
        read(models, "provider", options={"providers": "x"})
    with pytest.raises(ConfigError, match="genai_prices has no option provider; it knows providers"):
        read(models, "provider", options={"provider": {}})


@pytest.mark.parametrize(
    "content, said",
    [("[{", "cannot be read as JSON"), ('{"a": 1}', "no list of providers"), ('[{"id": "p"}]', "KeyError"), ("[1]", "no price list")],
)
def test_what_is_no_such_list_is_refused(db, tmp_path, content, said):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DeliveryError, match=rf"x\.json .*{said}"):
        rows_of(db, tmp_path / "x.json", "*")


def test_the_columns_are_canonical(db, tmp_path):
    (tmp_path / "x.json.gz").write_bytes(
        gzip.compress(b'{"providers": [{"id": "p", "models": [{"id": "m", "prices": {"input_mtok": 1}}]}]}')
    )
    rows_of(db, tmp_path / "x.json.gz", "*")
    columns = {row[0] for row in db.execute("describe delivery").fetchall()}
    assert columns - {"file_row"} <= set(canonical_tables()["prices"]["columns"])


def test_the_published_list_whole(db, shared_data):
    file = shared_data / "prices" / "genai_prices_data.json"
    with file.open() as text:
        listed = json.load(text, parse_float=str, parse_int=str)
    got = rows_of(db, file, "distinct file_row::int, sku, price_kind, coalesce(quantity_from, '0')::int, coalesce(valid_from, ''), price")
    unread = db.execute("select file_row from unread").fetchall()
    assert len({row[0] for row in got}) + len(unread) == 1442
    assert db.execute("select count(distinct provider) from delivery").fetchone() == (34,)
    models = [model for provider in listed for model in provider["models"]]
    plain = {"input_mtok": "input", "cache_read_mtok": "cached_input", "cache_write_mtok": "cache_write_5m", "output_mtok": "output"}
    prices = set(got)
    # every model's price as the text that the file has
    for number, model in enumerate(models, 1):
        if isinstance(model["prices"], dict):
            for key, kind in plain.items():
                price = model["prices"].get(key)
                if price is not None:
                    assert (number, model["id"], kind, 0, "", price if isinstance(price, str) else price["base"]) in prices
    assert {row[4:] for row in got if row[:3] == (20, "claude-sonnet-5", "input")} == {("", "2"), ("2026-09-01", "3")}


MAPPED = """
currency: USD
sources:
  - name: opencost_csv
    table: prices
    path: landing/opencost/*.csv
    select: >-
      select 'opencost' as book, InstanceID as sku, Region as region, AssetClass || '_hour' as price_kind,
        MarketPriceHourly as price, 'USD' as currency
      from delivery where AssetClass in ('node', 'gpu')
  - name: opencost_default
    table: prices
    path: landing/default/*.json
    select: >-
      select 'opencost' as book, 'gpu_hour' as price_kind, GPU as price, 'USD' as currency from delivery
  - name: llm_prices
    table: prices
    path: landing/llm/*.json
    select: >-
      select vendor as provider, model.id as model, kind.name as price_kind, kind.price as price, 1000000 as per_quantity,
        'USD' as currency, history.from_date as valid_from, history.to_date as valid_to
      from delivery, unnest(models) as each_model (model), unnest(model.price_history) as each_price (history),
        unnest([{'name': 'input', 'price': history.input}, {'name': 'cached_input', 'price': history.input_cached},
          {'name': 'output', 'price': history.output}]) as each_kind (kind)
      where kind.price is not null
"""


def test_other_lists_are_mapped(workspace, ask, shared_data):
    lists = shared_data / "prices"
    ws = workspace(
        MAPPED,
        {f"landing/opencost/{file.name}": file.read_bytes() for file in lists.glob("pricing_schema*.csv") if "pv" not in file.name}
        | {"landing/default/default.json": (lists / "default.json").read_bytes()}
        | {f"landing/llm/{name}.json": (lists / f"{name}.json").read_bytes() for name in ("amazon", "anthropic", "deepseek", "openai")},
    )
    reports = pipeline.load(ws, tell=lambda _: None)
    assert [said for report in reports for said in report.failures] == []
    assert ask(ws, "select price from raw.prices where source_name = 'opencost_default'") == [(Decimal("0.95"),)]
    assert ask(
        ws,
        "select sku, region, price_kind, price from raw.prices where file_name like '%region%' or file_name like '%schema.csv' order by all",
    ) == [
        ("Quadro_RTX_4000", None, "gpu_hour", Decimal("0.75")),
        ("Quadro_RTX_4001", None, "gpu_hour", Decimal("0.80")),
        ("gke-standard-cluster-1-pool-1-91dc432d-cg69", "regionone", "node_hour", Decimal("0.1337")),
        ("gke-standard-cluster-1-pool-1-91dc432d-cg69", "regiontwo", "node_hour", Decimal("0.1338")),
        ("gke-standard-cluster-1-pool-1-91dc432d-cg69", None, "node_hour", Decimal("0.1337")),
        ("gke-standard-cluster-1-pool-1-91dc432d-cg69", None, "node_hour", Decimal("0.1339")),
    ]
    assert ask(
        ws, "select price_kind, price, valid_from::date::varchar, valid_to::date::varchar from raw.prices where model = 'deepseek-chat'"
        " order by all"
    ) == [
        ("input", Decimal("0.14"), None, "2025-02-08"), ("input", Decimal("0.27"), "2025-02-08", None),
        ("output", Decimal("0.28"), None, "2025-02-08"), ("output", Decimal("1.1"), "2025-02-08", None),
    ]  # fmt: skip
