"""What other rules would have charged: figures by hand, equal to a build that restates, and nothing touched."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.workspaces import quiet
from tollbook import pipeline
from tollbook.decisions import simulate
from tollbook.errors import BusyError, ConfigError, TollbookError
from tollbook.warehouse import build
from tollbook.workspace import Workspace

REPO = Path(__file__).resolve().parents[1]
SAMPLE = REPO / "data" / "sample"
OWNER_PAYS = "policy,value,valid_from,valid_to\nmodel_cost_charged_to,owner,,\n"
HOLD = (
    "import sys; from filelock import FileLock\nwith FileLock(sys.argv[1], timeout=5):\n    print('held', flush=True); sys.stdin.read()\n"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sample month, built; what would be published stands for what is."""
    root = tmp_path_factory.mktemp("sample") / "workspace"
    shutil.copytree(SAMPLE, root)
    workspace = Workspace.open(root)
    pipeline.load(workspace, tell=quiet)
    pipeline.build(workspace, tell=quiet)
    workspace.published.mkdir()
    shutil.copyfile(workspace.warehouse, workspace.published_db)
    return workspace


@pytest.fixture
def sample(built, tmp_path):
    """A copy of it that a test may change."""
    shutil.copytree(built.root, tmp_path / "workspace", ignore=shutil.ignore_patterns(".tmp"))
    return Workspace.open(tmp_path / "workspace")


@pytest.fixture
def rules(tmp_path):
    """Write a rule file; its name says nothing unless given."""

    def write(content, name="what-if.csv"):
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return write


@pytest.fixture
def instead_of_models(monkeypatch):
    """Do something to the copy where the models would be built."""

    def act(what):
        monkeypatch.setattr(build, "rebuild", lambda workspace, days, select: what(workspace))

    return act


def hashes(workspace):
    """Every file of the workspace by content; the lock's file has none."""
    files = [file for file in workspace.root.rglob("*") if file.is_file() and workspace.temp / "dbt" not in file.parents]
    return {str(file.relative_to(workspace.root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@contextmanager
def elsewhere(workspace):
    """Another process holds the lock."""
    command = [sys.executable, "-c", HOLD, str(workspace.lock_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


def cli(*arguments):
    command = [sys.executable, "-m", "tollbook.cli", "simulate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPO, env=os.environ, check=False)


def test_the_owner_of_a_model_pays_instead_of_its_consumers(built, rules):
    before = hashes(built)
    file = rules(OWNER_PAYS)
    outcome = simulate.simulate(built, [file], tell=quiet)
    assert outcome.headline == f"Simulated: policies.csv from {file}; 2026-09-01 to 2026-09-30 (30 days)"
    # falcon-7b's server and the contract for lumen-large are platform's: 4,320.00 and 756.00 come to it, of which 58.50 is there now
    assert [(*line.keys, line.now, line.simulated, line.difference) for line in outcome.lines] == [
        ("platform", "allocated", Decimal("2180.10"), Decimal("7197.60"), Decimal("5017.50")),
        ("search", "allocated", Decimal("6159.30"), Decimal("3814.80"), Decimal("-2344.50")),  # - 2,160.00 - 184.50
        ("research", "allocated", Decimal("6056.60"), Decimal("5255.60"), Decimal("-801.00")),  # - 720.00 - 81.00
        ("assistant", "allocated", Decimal("4216.80"), Decimal("2344.80"), Decimal("-1872.00")),  # - 1,440.00 - 432.00
        ("idle", "idle", Decimal("11470.40"), Decimal("11470.40"), 0),
        ("unowned", "unowned", Decimal("200.00"), Decimal("200.00"), 0),
        ("down", "down", Decimal("172.80"), Decimal("172.80"), 0),
        ("unused_commitment", "unused_commitment", Decimal("60.00"), Decimal("60.00"), 0),
    ]
    assert (outcome.whole.now, outcome.whole.simulated, outcome.fault) == (Decimal(30516), Decimal(30516), None)

    again = cli("--policy", file, "-w", built.root, "--month", "2026-09", "--format", "json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["rows"] == simulate.records(outcome)
    assert hashes(built) == before
    assert not list(built.temp.glob("simulate-*"))


def test_other_owners_of_some_days_as_a_build_that_restates_them(sample, rules, ask):
    own = (SAMPLE / "config" / "owners.csv").read_text().replace("search-*,search", "search-*,assistant")
    file = rules(own + "traffic,5,service_name,Nimbus Network,platform,,\n")
    outcome = simulate.simulate(sample, [file], date(2026, 9, 10), date(2026, 9, 20), tell=quiet)
    # the ranker began on 1 September and held 2 GPUs x 24 h x 1.20 = 57.60 a day up to the 15th: 6 days x 57.60 = 345.60;
    # a line of traffic began on 8 September; 11 days x 2.00 = 22.00 go from assistant to platform
    assert {line.keys[0]: line.difference for line in outcome.lines if line.difference} == {
        "search": Decimal("-345.60"),
        "assistant": Decimal("323.60"),
        "platform": Decimal("22.00"),
    }
    shutil.copyfile(file, sample.config / "owners.csv")
    pipeline.build(sample, tell=quiet, restate_from=date(2026, 9, 1))
    restated = ask(
        sample,
        "select team, bucket, sum(charged_cost) from intermediate.int_chargeback_days"
        " where usage_date between '2026-09-10' and '2026-09-20' group by all order by all",
    )
    assert sorted((*line.keys, line.simulated) for line in outcome.lines) == restated


def test_by_cost_centre_component_and_bucket(built, rules, instead_of_models):
    instead_of_models(lambda copy: None)
    file = rules(OWNER_PAYS)
    first = {by: simulate.simulate(built, [file], by=by, tell=quiet).lines[0] for by in simulate.DIMENSIONS}
    assert {by: (*line.keys, line.now) for by, line in first.items()} == {
        "team": ("search", "allocated", Decimal("6159.30")),
        "cost_centre": ("CC-200", "allocated", Decimal("6159.30")),
        "component": ("gpu", Decimal("23616.00")),  # held 11,896.80 + 60.00 + 16.00, idle 11,470.40, down 172.80
        "bucket": ("allocated", Decimal("18612.80")),
    }


def test_a_night_may_start_while_the_copy_is_built(built, rules, instead_of_models):
    held = []

    def hold(_):
        with elsewhere(built) as said:
            held.append(said)

    instead_of_models(hold)
    simulate.simulate(built, [rules(OWNER_PAYS)], tell=quiet)
    assert held == ["held"]


def test_beside_a_night_it_waits_and_then_says_so(built, rules):
    before, told = hashes(built), []
    with elsewhere(built), pytest.raises(BusyError, match=r"is still writing to .* nothing was changed"):
        simulate.simulate(built, [rules(OWNER_PAYS)], tell=told.append, wait_seconds=0)
    assert told == [f"waiting for another process, which is writing to {built.root}"]
    assert hashes(built) == before


@pytest.mark.parametrize("error", [TollbookError("no model"), KeyboardInterrupt()])
def test_the_copy_goes_when_it_ends_early(built, rules, instead_of_models, error):
    copies = []

    def fail(copy):
        copies.append(copy.warehouse.is_file())
        raise error

    instead_of_models(fail)
    before = hashes(built)
    with pytest.raises(type(error)):
        simulate.simulate(built, [rules(OWNER_PAYS)], tell=quiet)
    assert (copies, hashes(built)) == ([True], before)


def test_the_copy_goes_when_it_is_told_to_end(built, rules, instead_of_models):
    instead_of_models(lambda copy: signal.raise_signal(signal.SIGTERM))
    handler, before = signal.getsignal(signal.SIGTERM), hashes(built)
    with pytest.raises(SystemExit, match="143"):
        simulate.simulate(built, [rules(OWNER_PAYS)], tell=quiet)
    assert (signal.getsignal(signal.SIGTERM), hashes(built)) == (handler, before)


def test_a_killed_simulation_is_cleared_away_by_the_next_and_a_living_one_is_not(sample, rules, instead_of_models):
    left = sample.temp / "simulate-killed"
    left.mkdir(parents=True)
    (left / "warehouse.duckdb").write_text("half a copy")
    seen = []

    def another(_):
        if not seen:
            seen.append(left.exists())
            simulate.simulate(sample, [file], tell=quiet)
            seen.extend(place.name for place in sample.temp.glob("simulate-*"))

    instead_of_models(another)
    file = rules(OWNER_PAYS)
    simulate.simulate(sample, [file], tell=quiet)
    assert seen[0] is False
    assert len(seen) == 2
    assert not list(sample.temp.glob("simulate-*"))


def test_days_loaded_since_the_build_are_left_out(sample, rules, instead_of_models):
    instead_of_models(lambda copy: None)
    with sample.connect() as db:
        db.execute("insert into meta.touched_days values ('2026-09-03', 'holdings')")
        db.execute("insert into meta.touched_open values ('2026-09-28')")
    outcome = simulate.simulate(sample, [rules(OWNER_PAYS)], tell=quiet)
    assert outcome.days == [date(2026, 9, day) for day in range(1, 28) if day != 3]
    assert outcome.notes[-1] == "4 days from 2026-09-03 on left out: loaded since the last build, or not built whole."
    assert outcome.whole.now == sum(line.now for line in outcome.lines)
    with pytest.raises(TollbookError, match="2026-09-28 to 2026-09-30 were loaded since the last build"):
        simulate.simulate(sample, [rules(OWNER_PAYS)], date(2026, 9, 28), date(2026, 9, 30), tell=quiet)


def test_a_build_that_did_not_finish_is_not_what_is_charged_now(sample, rules):
    with sample.connect() as db:
        db.execute("insert into meta.runs values ('x', 'build', now()::timestamp + interval 1 second, null, 'running', null)")
    with pytest.raises(TollbookError, match=r"their build did not finish\. Run `tollbook build` first"):
        simulate.simulate(sample, [rules(OWNER_PAYS)], tell=quiet)


def test_a_total_that_changes_is_a_defect_and_status_1(built, rules, instead_of_models, monkeypatch, capsys):
    from tollbook import cli as command_line

    instead_of_models(lambda copy: change(copy, "delete from intermediate.int_chargeback_days where team = 'search'"))
    monkeypatch.setattr(sys, "argv", ["tollbook", "simulate", "--policy", str(rules(OWNER_PAYS)), "-w", str(built.root), "-f", "csv"])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    printed = capsys.readouterr()
    assert ended.value.code == 1
    assert "The total changes by -6,159.30 USD, but these rules only say who pays: this is a defect" in printed.err
    assert printed.out.splitlines()[:2] == [
        "team,bucket,now,simulated,difference,percent,currency_code",
        "search,allocated,6159.300000000000,0.000000000000,-6159.300000000000,-100.0000,USD",
    ]


def change(copy, statement):
    with copy.connect() as db:
        db.execute(statement)


def test_prices_may_change_estimates_but_no_bill(built, rules, instead_of_models):
    prices = rules((SAMPLE / "config" / "prices.csv").read_text())
    more = (
        "insert into intermediate.int_chargeback_days select * replace ('new' as team, '{}' as basis, 1.5 as charged_cost)"
        " from intermediate.int_chargeback_days where bucket = 'down' limit 1"
    )
    instead_of_models(lambda copy: change(copy, more.format("estimated")))
    outcome = simulate.simulate(built, [prices], tell=quiet)
    assert outcome.fault is None
    assert outcome.notes[0].startswith("The total changes by 1.50 USD, all of it estimates")
    instead_of_models(lambda copy: change(copy, more.format("billed")))
    assert "this is a defect" in simulate.simulate(built, [prices], tell=quiet).fault


def test_rates_say_what_bills_in_other_money_are_worth(sample, rules, instead_of_models):
    rates = rules("from_currency,to_currency,rate,valid_from,valid_to\n", "other-rates.csv")
    instead_of_models(lambda copy: change(copy, "update intermediate.int_chargeback_days set charged_cost = 2 * charged_cost"))
    outcome = simulate.simulate(sample, [rates], tell=quiet)
    assert (outcome.fault, outcome.whole.difference) == (None, Decimal(30516))
    assert outcome.notes == ["The total changes by 30,516.00 USD: exchange rates say what bills in other currencies are worth."]
    change(sample, "update raw.billing_lines set billing_currency = 'EUR' where source_name = 'vendor_bill'")
    with pytest.raises(ConfigError, match=r"no exchange rate to USD for EUR: 90 lines of vendor_bill.*to \S*/other-rates\.csv"):
        simulate.simulate(sample, [rates], tell=quiet)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "x.csv",
            "policy,worth\nmodel_cost_charged_to,owner\n",
            r"x.csv: is no rule file: its columns \(policy, worth\) are those of none",
        ),
        ("x.csv", "", "its name is those of none"),
        ("gates.yml", "freshness: {}\n", "is no rule file"),
        ("required_tags.csv", "tag,valid_from,valid_to\nteam,,\n", "required_tags.csv decides no charge"),
        ("policies.csv", "policy,worth,valid_from,valid_to\n,,,\n", r"policies.csv: missing column value; unknown column worth"),
        ("x.csv", OWNER_PAYS.replace("owner", "nobody"), r"x.csv, row 1, column value: 'nobody' is no value of model_cost_charged_to"),
        ("x.csv", "team,cost_centre,valid_from,valid_to\na,1,,\nb,2,soon,\n", r"x.csv, row 2, column valid_from: 'soon'"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_row_and_column(built, rules, name, content, says):
    before = hashes(built)
    with pytest.raises(ConfigError, match=says):
        simulate.simulate(built, [rules(content, name)], tell=quiet)
    assert hashes(built) == before


def test_a_missing_file_and_two_of_a_kind_are_refused(built, rules, tmp_path):
    with pytest.raises(ConfigError, match=r"none\.csv: there is no such file"):
        simulate.simulate(built, [tmp_path / "none.csv"], tell=quiet)
    with pytest.raises(ConfigError, match=r"a\.csv and .*b\.csv are both a policies\.csv: give one"):
        simulate.simulate(built, [rules(OWNER_PAYS, "a.csv"), rules(OWNER_PAYS, "b.csv")], tell=quiet)


def test_rates_without_the_split_that_is_in_force_are_refused(built, rules):
    rates = "split,resource,rate_kind,rate,valid_from,valid_to\n{},gpu,weight,0.95,,\n{},cpu,weight,0.01,,\n"
    policies = rules("policy,value,valid_from,valid_to\nnode_cost_split,ours,,\n", "p.csv")
    # the new policy is judged by the new rates, in whatever order they are given
    with pytest.raises(ConfigError, match=r"p\.csv, row 1, column value: 'ours' is no value of node_cost_split"):
        simulate.simulate(built, [policies, rules(rates.format("theirs", "theirs"), "r.csv")], tell=quiet)


@pytest.mark.parametrize(
    ("first", "last", "says"),
    [
        (
            date(2026, 10, 1),
            date(2026, 10, 31),
            "nothing is charged from 2026-10-01 to 2026-10-31: the data is of 2026-09-01 to 2026-09-30",
        ),
        (date(2026, 9, 5), date(2026, 9, 4), "the first is after the last"),
    ],
)
def test_days_outside_the_data_are_refused(built, rules, first, last, says):
    with pytest.raises(TollbookError, match=says):
        simulate.simulate(built, [rules(OWNER_PAYS)], first, last, tell=quiet)


def test_a_workspace_without_a_build_has_nothing_to_simulate(workspace, rules):
    empty = workspace("currency: USD\n")
    with pytest.raises(TollbookError, match=r"nothing is built in .* yet"):
        simulate.simulate(empty, [rules(OWNER_PAYS)], tell=quiet)
    with pipeline.recorded(empty, "load"):
        pass
    with pytest.raises(TollbookError, match="there is no day to simulate: nothing is built yet"):
        simulate.simulate(empty, [rules(OWNER_PAYS)], tell=quiet)


def test_a_disk_without_room_is_told_before(built, rules, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(simulate, "_shares_blocks", lambda source, target: False)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(10_000_000))
    before = hashes(built)
    with pytest.raises(TollbookError, match=r"not enough space .* need \d+ MB, 10 MB are free. Nothing was changed"):
        simulate.simulate(built, [rules(OWNER_PAYS)], tell=quiet)
    assert hashes(built) == before
