"""Where deliveries come from: any fsspec URL; what is half, changing or out of reach leaves what was loaded."""

import json
import shutil
from decimal import Decimal

import fsspec
import pytest

from tollbook import pipeline
from tollbook.errors import ConfigError
from tollbook.landing.memory import Memory

HEADER = "BilledCost,EffectiveCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,ChargePeriodStart,ChargePeriodEnd,ChargeCategory\n"
TOTAL = "select sum(billed_cost) from raw.billing_lines"


def bill(*costs):
    lines = [f"{cost},{cost},USD,2026-09-01,2026-10-01,2026-09-01T00:00:00Z,2026-09-01T01:00:00Z,Usage\n" for cost in costs]
    return (HEADER + "".join(lines)).encode()


def settings(path="memory://bucket/bill/*.csv", **more):
    return json.dumps({"currency": "USD", "sources": [{"name": "bill", "format": "focus", "path": path} | more]})


def load(ws):
    (report,) = pipeline.load(ws, tell=lambda _: None)
    return report


@pytest.fixture
def storage():
    """The in-memory storage, empty before and after."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()


@pytest.fixture
def fetched(monkeypatch, storage):
    """Paths of the objects fetched, in order."""
    paths, fetch = [], type(storage).get_file

    def note(self, path, target, **more):
        paths.append(path)
        return fetch(self, path, target, **more)

    monkeypatch.setattr(type(storage), "get_file", note)
    return paths


def test_any_storage_is_read_and_fetched_from_once(workspace, ask, storage, fetched):
    storage.pipe("/bucket/bill/a.csv", bill(1))
    storage.pipe("/bucket/bill/b.csv", bill(2))
    ws = workspace(settings())
    assert (load(ws).loaded, load(ws).unchanged) == (2, 2)
    assert sorted(fetched) == ["/bucket/bill/a.csv", "/bucket/bill/b.csv"]
    assert ask(ws, "select file_name from raw.billing_lines order by 1") == [
        ("memory:///bucket/bill/a.csv",),
        ("memory:///bucket/bill/b.csv",),
    ]


def test_the_same_content_written_anew_is_not_loaded_again(workspace, storage, fetched):
    storage.pipe("/bucket/bill/a.csv", bill(1))
    ws = workspace(settings())
    load(ws)
    storage.pipe("/bucket/bill/a.csv", bill(1))
    report = load(ws)
    assert (report.loaded, report.unchanged, len(fetched)) == (0, 1, 2)
    assert not (ws.deliveries / "bill" / ".incoming").exists()


def test_a_version_in_the_url_orders_what_arrives(workspace, ask, storage):
    ws = workspace(settings(partition="(?P<partition>2026-\\d\\d)-v(?P<version>\\d+)"))
    for version in (10, 9):
        storage.pipe(f"/bucket/bill/2026-09-v{version}.csv", bill(version))
        load(ws)
        storage.rm(f"/bucket/bill/2026-09-v{version}.csv")
    assert ask(ws, TOTAL) == [(Decimal(10),)]


def test_an_interrupted_fetch_leaves_nothing_half_and_what_came_whole_stays_fetched(workspace, ask, storage, monkeypatch):
    storage.pipe("/bucket/bill/sep/part1.csv", bill(1))
    storage.pipe("/bucket/bill/sep/part2.csv", bill(2))
    ws = workspace(settings("memory://bucket/bill/*"))
    whole, asked = type(storage).get_file, []

    def cut_off(self, path, target, **more):
        asked.append(path)
        if path.endswith("part2.csv"):
            with open(target, "wb") as file:
                file.write(bill(2)[:30])
            raise ConnectionResetError("connection lost")
        return whole(self, path, target, **more)

    monkeypatch.setattr(type(storage), "get_file", cut_off)
    (failure,) = load(ws).failures
    assert "fetching memory:///bucket/bill/sep/part2.csv failed: ConnectionResetError: connection lost. Check network" in failure
    assert not list(ws.deliveries.rglob("part2.csv")) and ask(ws, "select count(*) from raw.billing_lines") == [(0,)]

    asked.clear()
    monkeypatch.setattr(type(storage), "get_file", lambda self, path, target, **more: (asked.append(path), whole(self, path, target))[1])
    assert (load(ws).loaded, asked) == (1, ["/bucket/bill/sep/part2.csv"])
    assert ask(ws, TOTAL) == [(Decimal(3),)]
    assert not (ws.deliveries / "bill" / ".incoming").exists()


def test_an_object_that_changes_while_it_is_fetched_waits(workspace, storage, monkeypatch):
    storage.pipe("/bucket/bill/a.csv", bill(1))
    ws = workspace(settings())
    whole = type(storage).get_file

    def meddle(self, path, target, **more):
        whole(self, path, target, **more)
        storage.pipe(path, bill(2))

    monkeypatch.setattr(type(storage), "get_file", meddle)
    (failure,) = load(ws).failures
    assert "memory:///bucket/bill/a.csv changed while it was fetched" in failure
    monkeypatch.undo()
    assert load(ws).loaded == 1


def test_the_archive_and_what_was_fetched_come_back_from_a_backup_together(workspace, storage, fetched, tmp_path):
    storage.pipe("/bucket/bill/a.csv", bill(1))
    ws = workspace(settings())
    load(ws)
    shutil.copytree(ws.deliveries, tmp_path / "backup")
    shutil.rmtree(ws.deliveries)
    ws.warehouse.unlink()
    shutil.move(tmp_path / "backup", ws.deliveries)
    assert (load(ws).loaded, len(fetched)) == (1, 1)


def test_kept_deliveries_are_loaded_again_without_the_storage(workspace, ask, storage):
    from datetime import date

    storage.pipe("/bucket/bill/a.csv", bill(1))
    ws = workspace(settings())
    load(ws)
    storage.rm("/bucket/bill/a.csv")
    (report,) = pipeline.load(ws, days=(date(2026, 9, 1), date(2026, 9, 1)), tell=lambda _: None)
    assert (report.loaded, report.failures) == (1, [])
    assert ask(ws, TOTAL) == [(Decimal(1),)]


def test_a_file_url_is_a_folder_of_this_machine(workspace, ask, tmp_path):
    ws = workspace(settings(f"file://{tmp_path}/landing/*.csv"), {"landing/a.csv": bill(3)})
    assert load(ws).loaded == 1
    assert ask(ws, TOTAL) == [(Decimal(3),)]


def test_files_in_a_hidden_folder_of_a_delivery_are_not_its_parts(workspace, ask):
    ws = workspace(settings("landing/*"), {"landing/sep/a.csv": bill(1), "landing/sep/_temporary/b.csv": bill(100)})
    assert load(ws).loaded == 1
    assert ask(ws, TOTAL) == [(Decimal(1),)]


def test_a_storage_without_its_package_names_it(workspace, monkeypatch):
    ws = workspace(settings("gs://bucket/*"))
    monkeypatch.setattr(fsspec, "filesystem", lambda *_, **__: (_ for _ in ()).throw(ImportError("Please install gcsfs")))
    (failure,) = load(ws).failures
    assert "gs:// in `path` cannot be opened: Please install gcsfs. Install the package" in failure


@pytest.mark.parametrize(
    "source, said",
    [
        ({"path": "s3://AKIA:secret@bucket/*"}, "has a password in it"),
        ({"path": "simplecache::s3://bucket/*"}, "chained ones"),
        ({"path": "landing/*", "storage_options": {"endpoint_url": "http://x"}}, "belong to a `path` in object storage"),
        ({"path": "gs://bucket/*", "storage_options": {"token": "/key.json"}}, "`storage_options` has token"),
        (
            {"path": "s3://bucket/*", "storage_options": {"client_kwargs": {"aws_session_token": "x"}}},
            "has client_kwargs.aws_session_token",
        ),
    ],
)
def test_settings_that_cannot_be_used_or_hold_a_secret_are_refused(workspace, source, said):
    with pytest.raises(ConfigError, match=said) as refused:
        workspace(settings(**source))
    assert "AKIA" not in str(refused.value)


def test_settings_without_a_secret_are_taken(workspace):
    options = {"anon": True, "endpoint_url": "http://127.0.0.1:9000", "client_kwargs": {"region_name": "eu-west-1"}, "profile": "billing"}
    assert workspace(settings("s3://bucket/*", storage_options=options)).source("bill").storage_options == options
    assert workspace(settings("gs://bucket/*", storage_options={"token": "google_default"})).source("bill").storage_options


def test_a_line_cut_off_by_a_crash_is_passed_over(tmp_path):
    memory = Memory(tmp_path / "fetched.jsonl")
    memory.put("a", {"tag": "1"})
    memory.file.write_text(memory.file.read_text() + '\n["b", {"ta')
    again = Memory(memory.file)
    again.put("c", 3)
    assert Memory(memory.file).facts == {"a": {"tag": "1"}, "c": 3}


def test_what_is_remembered_stays_small(tmp_path):
    memory = Memory(tmp_path / "fetched.jsonl")
    for number in range(200):
        memory.put("a", number)
    assert Memory(memory.file).facts == {"a": 199}
    assert len(memory.file.read_text().splitlines()) == 1
