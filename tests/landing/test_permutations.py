"""Any order of arrival ends in the same raw tables: three months, two of them restated, each file dropped and loaded."""

import itertools
import os

import pytest

from tollbook.landing import deliveries
from tollbook.landing.load import load_source
from tollbook.warehouse import schema
from tollbook.workspace import Workspace

HEADER = "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory\n"
SETTINGS = (
    "currency: USD\nsources:\n"
    "  - {name: bill, format: focus, path: landing/bill/*.csv, partition: '(?P<partition>2026-\\d\\d)-v(?P<version>\\d+)'}\n"
)
ARRIVALS = {"2026-07-v1": (1, 2), "2026-08-v9": (4,), "2026-08-v10": (8, 16, -4), "2026-09-v1": (32,), "2026-09-v2": (64,)}


def bill(month, costs):
    """A FOCUS bill of one line per cost on the first of the month."""
    year, number = month.split("-")[:2]
    start, end = f"{year}-{number}-01", f"{year}-{int(number) + 1:02d}-01"
    return HEADER + "".join(f"{cost},{cost},USD,{start},{end},{start}T00:00:00Z,{start}T01:00:00Z,Usage\n" for cost in costs)


class Landing:
    """A workspace whose warehouse is in memory; ``drop`` puts a file there, as old as it says, and loads."""

    def __init__(self, root, settings=SETTINGS):
        import duckdb

        (root / "landing/bill").mkdir(parents=True)
        (root / "tollbook.yml").write_text(settings)
        self.workspace = Workspace.open(root)
        self.db = duckdb.connect()
        schema.ensure(self.db)

    def file(self, name):
        return self.workspace.root / f"landing/bill/{name}.csv"

    def drop(self, name, costs, age=0):
        self.file(name).write_text(bill(name, costs))
        # what was written when says nothing where the name has a version
        os.utime(self.file(name), (1_790_000_000 + age, 1_790_000_000 + age))
        return self.load()

    def load(self):
        report = load_source(self.workspace, self.db, self.workspace.source("bill"))
        assert report.failures == []
        return report

    def ends_with(self):
        """What is loaded, and what is current."""
        raw = self.db.execute("select * from raw.billing_lines order by file_name, file_row").fetchall()
        current = self.db.execute(
            "select partition_key, version, delivery_id, rows_loaded from meta.deliveries where is_current order by all"
        ).fetchall()
        return raw, current

    def costs(self):
        return [int(row[0]) for row in self.db.execute("select billed_cost from raw.billing_lines order by 1").fetchall()]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    landing = Landing(tmp_path_factory.mktemp("in-order"))
    for age, (name, costs) in enumerate(ARRIVALS.items()):
        landing.drop(name, costs, age)
    assert landing.costs() == [-4, 1, 2, 8, 16, 64]
    assert [row[:2] for row in landing.ends_with()[1]] == [("2026-07", "1"), ("2026-08", "10"), ("2026-09", "2")]
    return landing.ends_with()


@pytest.mark.parametrize("first", ARRIVALS)
def test_all_120_orders_of_arrival_end_alike(tmp_path, expected, first):
    others = [name for name in ARRIVALS if name != first]
    seen = 0
    for number, rest in enumerate(itertools.permutations(others)):
        landing = Landing(tmp_path / str(number))
        for age, name in enumerate((first, *rest)):
            landing.drop(name, ARRIVALS[name], age)
        assert landing.ends_with() == expected, (first, *rest)
        seen += 1
    assert seen == 24


def test_all_at_once_ends_like_one_by_one(tmp_path, expected):
    landing = Landing(tmp_path)
    for name, costs in ARRIVALS.items():
        landing.file(name).write_text(bill(name, costs))
    landing.load()
    assert landing.ends_with() == expected


def test_each_file_gone_before_the_next_comes_ends_alike(tmp_path, expected):
    for number, order in enumerate((list(ARRIVALS), list(reversed(ARRIVALS)))):
        landing = Landing(tmp_path / str(number))
        for name in order:
            landing.drop(name, ARRIVALS[name])
            landing.file(name).unlink()
        assert landing.ends_with() == expected


def test_a_restatement_back_to_the_first_content_ends_alike(tmp_path):
    arrivals = {"2026-09-v1": (1,), "2026-09-v2": (2,), "2026-09-v3": (1,)}
    for number, order in enumerate(itertools.permutations(arrivals)):
        landing = Landing(tmp_path / str(number))
        for name in order:
            landing.drop(name, arrivals[name])
            landing.file(name).unlink()
        assert landing.costs() == [1], order
        assert [row[:2] for row in landing.ends_with()[1]] == [("2026-09", "3")], order


PLAIN = "currency: USD\nsources:\n  - {name: bill, format: focus, path: landing/bill/*.csv}\n"


@pytest.mark.parametrize("order", list(itertools.permutations(["2026-09-a", "2026-09-b", "2026-09-c"])))
@pytest.mark.parametrize("gone", [False, True])
def test_the_same_content_under_several_names_counts_once(tmp_path, order, gone):
    landing = Landing(tmp_path, PLAIN)
    for name in order:
        landing.drop(name, (5, 7))
        if gone:
            landing.file(name).unlink()
    assert landing.costs() == [5, 7]
    if not gone:
        assert landing.load().unchanged == 3


def test_two_files_that_swap_names_lose_nothing(tmp_path):
    landing = Landing(tmp_path, PLAIN)
    landing.drop("2026-09-a", (1,))
    landing.drop("2026-09-b", (2,))
    landing.file("2026-09-a").write_text(bill("2026-09", (2,)))
    landing.file("2026-09-b").write_text(bill("2026-09", (1,)))
    landing.load()
    assert landing.costs() == [1, 2]
    assert landing.load().unchanged == 2


def test_versions_sort_by_the_numbers_in_them():
    given = ["v10", "v9", "v9.2", "2026-09-01T00:00:00.000000", "v9.10", ""]
    assert sorted(given, key=deliveries.natural) == ["", "v9", "v9.2", "v9.10", "v10", "2026-09-01T00:00:00.000000"]
