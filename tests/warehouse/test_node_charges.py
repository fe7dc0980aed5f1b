"""What goes to a node through the loaders: attached lines, hours cut where a price or SKU changes, spot prices. One node per case."""

from decimal import Decimal as D

import pytest

from tests.workspaces import FOCUS, quiet, settings_of
from tollbook import pipeline
from tollbook.errors import ConfigError
from tollbook.warehouse import config, schema

SETTINGS = settings_of("bill", "fleet", "disks", "pods", "books")
POLICY = "policy,value,valid_from,valid_to\nattached_by_tag,node kubernetes.io/hostname,,\n"
FLEET = "node,cluster,pool,gpu_model,gpu_count,sku,purchase_option,resource_id,started_at,ended_at\n"
DISKS = "resource_id,attached_to,started_at,ended_at\n"
PODS = "holding_id,cluster,node,gpu_count,started_at,ended_at,labels\n"
BOOKS = "provider,sku,service_tier,price_kind,price,currency,valid_from,valid_to,time_from,time_to\n"
BILL = f"{FOCUS},Tags,ProviderName\n"


def night(workspace, **options):
    for report in pipeline.load(workspace, tell=quiet):
        assert ([said for said in report.failures if "does not exist" not in said], report.quarantined) == ([], 0)
    return pipeline.build(workspace, tell=quiet, **options)


def at(time):
    return f"2026-09-01T{time}:00Z" if time != "24:00" else "2026-09-02T00:00:00Z"


def charge(cost, start, end, resource="", service="Compute", category="Usage", **tags):
    said = ",".join(f'""{key}"":""{value}""' for key, value in tags.items())
    return f'{cost},{cost},USD,2026-09-01T00:00:00Z,2026-10-01T00:00:00Z,{at(start)},{at(end)},{category},{service},{resource},"{{{said}}}",V\n'


def node(name, start="00:00", end="24:00", sku="", bought="on_demand", gpus=2):
    return f"{name},k,p,H100,{gpus},{sku},{bought},i-{name},{at(start)},{at(end)}\n"


def attached(resource, to, start, end):
    return f"{resource},{to},{at(start)},{at(end)}\n"


SPREAD = """
select resource_id, strftime(part_start_at, '%H:%M'), strftime(part_end_at, '%H:%M'), component, team, cost
from intermediate.int_charges__spread where {} order by all
"""
TOTAL = "select sum(cost) from intermediate.int_charges__spread"


def test_attached_lines_go_with_their_node_to_who_held_it(workspace, ask):
    fleet = node("a", "00:00", "03:00") + node("b", "00:00", "03:00") + node("c", "00:00", "03:00")
    bill = [
        charge(6, "00:00", "01:00", "i-a", team="blue"),
        # 3.60 an hour: 40 minutes to a, 20 to b, an hour to none: then its own owner pays
        charge("7.20", "00:00", "02:00", "vol-1", "Storage", team="red"),
        # three nodes at once
        charge(1, "02:00", "03:00", "vol-2", "Storage", team="red"),
        # no ResourceId, and a tag with the node's name; the first key names no node
        charge("0.50", "02:00", "03:00", "", "Networking", **{"node": "web", "kubernetes.io/hostname": "b"}),
        # its node is not listed any more
        charge("0.25", "04:00", "05:00", "", "Networking", node="i-b", team="red"),
        # a credit on the disk follows it too
        charge("-0.60", "00:00", "00:20", "vol-1", "Storage", category="Credit"),
        # a day of a disk that nobody attaches, beside it
        charge(24, "00:00", "24:00", "vol-3", "Storage", team="red"),
    ]
    disks = DISKS + attached("vol-1", "i-a", "00:00", "00:40") + attached("vol-1", "i-b", "00:40", "01:00")
    shared = "".join(attached("vol-2", to, "00:00", "24:00") for to in ("i-a", "b", "i-c"))
    pods = '1,k,a,2,{},{},"{{""team"":""green""}}"\n2,k,a,2,{},{},"{{""team"":""violet""}}"\n'
    ws = workspace(
        SETTINGS,
        {
            "landing/bill/a.csv": BILL + "".join(bill),
            "landing/fleet/a.csv": FLEET + fleet,
            "landing/pods/a.csv": PODS + pods.format(at("00:00"), at("01:00"), at("02:00"), at("03:00")),
            "config/policies.csv": POLICY,
        },
    )
    night(ws)
    direct = [
        (None, None, None, "Credit", None, D("-0.60")),
        (None, None, None, "Networking", "red", D("0.25")),
        (None, None, None, "Storage", "red", D("32.20")),  # 24 + 7.20 + 1
    ]
    tagged = ("i-b", "02:00", "03:00", "Networking", None, D("0.50"))
    own = ("i-a", "00:00", "01:00", "Compute", "blue", 6)
    assert ask(ws, SPREAD.format("true")) == [own, tagged, *direct]

    # the attachments come late: the day they are of is built again
    (ws.root / "landing/disks").mkdir()
    (ws.root / "landing/disks/a.csv").write_text(disks + shared)
    night(ws)
    late = ask(ws, SPREAD.format("true"))
    assert late == [
        # the hour is cut where the disk moves: the node's own 6.00 by time; the disk with the owner of the node's bill, if none held it
        ("i-a", "00:00", "00:20", "Compute", "blue", 2),
        ("i-a", "00:00", "00:20", "Credit", "blue", D("-0.60")),
        ("i-a", "00:00", "00:20", "Storage", "blue", D("1.20")),
        ("i-a", "00:20", "00:40", "Compute", "blue", 2),
        ("i-a", "00:20", "00:40", "Storage", "blue", D("1.20")),
        ("i-a", "00:40", "01:00", "Compute", "blue", 2),
        ("i-a", "02:00", "03:00", "Storage", "red", D("0.333333333334")),
        ("i-b", "00:40", "01:00", "Storage", "red", D("1.20")),
        ("i-b", "02:00", "03:00", "Networking", None, D("0.50")),
        ("i-b", "02:00", "03:00", "Storage", "red", D("0.333333333333")),
        ("i-c", "02:00", "03:00", "Storage", "red", D("0.333333333333")),
        (None, None, None, "Networking", "red", D("0.25")),
        (None, None, None, "Storage", "red", D("27.60")),
    ]
    assert ask(ws, TOTAL) == [(D("38.35"),)]  # 6 + 7.20 + 1 + 0.50 + 0.25 - 0.60 + 24
    assert ask(ws, "select team, sum(charged_cost) from intermediate.int_chargeback_days where team in ('green', 'violet') group by 1 order by 1") == [
        ("green", D("7.80")),  # 6 + 2.40 - 0.60
        ("violet", D("0.333333333334")),
    ]  # fmt: skip
    assert ask(ws, "select cost from quality.fct_bridge where term = 'remainder'") == [(0,)]
    night(ws, full_refresh=True)
    assert ask(ws, SPREAD.format("true")) == late


def test_an_hour_is_cut_where_the_nodes_price_or_sku_changes(workspace, ask):
    fleet = [
        node("billed"), node("late", "10:30"), node("short", "10:40"),
        node("spot", "10:00", "11:00", "p5", "Spot"), node("kept", "10:00", "11:00", "p5", "reserved"),
        node("resized", "10:00", "10:30", "p5"), node("resized", "10:30", "11:00", "g5"),
        node("nightly", "10:00", "11:00", "n1"), node("started", "10:40", "11:00", "p5", "spot"),
        node("unpriced", "10:00", "11:00", "g5", "spot"),
    ]  # fmt: skip
    bill = [
        # spot: 2.00 for 20 minutes, then 8.00 for 40; support of the whole hour follows time
        charge(2, "10:00", "10:20", "i-billed"), charge(8, "10:20", "11:00", "i-billed"),
        charge(3, "10:00", "11:00", "i-billed", "Other"),
        # the list knows the node from 10:30 only: the cut at 10:20 would leave 1.00 with no GPU
        charge(1, "10:00", "10:20", "i-late"), charge(4, "10:20", "11:00", "i-late"),
        # billed for the whole hour, but it existed 20 minutes, cut in halves: equal parts
        charge(6, "10:00", "11:00", "i-short"), charge(1, "10:50", "11:00", "i-short"),
    ]  # fmt: skip
    books = [
        "V,p5,,node_hour,10,USD,,,,", "V,g5,,node_hour,4,USD,,,,",
        "V,p5,spot,node_hour,6,USD,2026-08-01,,,", "V,p5,spot,node_hour,9,USD,2026-09-01 10:20:00,,,",
        "V,p5,reserved,node_hour,3,USD,,,,",
        "V,n1,,node_hour,4,USD,,,,", "V,n1,,node_hour,1,USD,,,10:30,18:00",
    ]  # fmt: skip
    ws = workspace(
        SETTINGS,
        {
            "landing/bill/a.csv": BILL + "".join(bill),
            "landing/fleet/a.csv": FLEET + "".join(fleet),
            "landing/books/a.csv": BOOKS + "\n".join(books) + "\n",
        },
    )
    night(ws)
    assert ask(ws, SPREAD.format("line_count > 0")) == [
        ("i-billed", "10:00", "10:20", "Compute", None, 2),
        ("i-billed", "10:00", "10:20", "Other", None, 1),
        ("i-billed", "10:20", "11:00", "Compute", None, 8),
        ("i-billed", "10:20", "11:00", "Other", None, 2),
        ("i-late", "10:00", "11:00", "Compute", None, 5),
        ("i-short", "10:00", "10:50", "Compute", None, 3),
        ("i-short", "10:50", "11:00", "Compute", None, 4),
    ]
    assert ask(ws, SPREAD.format("line_count = 0")) == [
        ("i-kept", "10:00", "11:00", "Compute", None, 3),
        ("i-nightly", "10:00", "10:30", "Compute", None, 2),
        ("i-nightly", "10:30", "11:00", "Compute", None, D("0.50")),
        ("i-resized", "10:00", "10:30", "Compute", None, 5),
        ("i-resized", "10:30", "11:00", "Compute", None, 2),
        ("i-spot", "10:00", "10:20", "Compute", None, 2),
        ("i-spot", "10:20", "11:00", "Compute", None, 6),
        ("i-started", "10:00", "11:00", "Compute", None, 3),  # it existed under the second price alone
        # a spot node without a spot price has none: the on-demand one would be a guess
    ]
    assert ask(ws, "select resource_id, list_cost, microseconds from intermediate.int_node_hours__priced where resource_id = 'i-spot'") == [
        ("i-spot", 8, 3_600_000_000)
    ]
    assert ask(ws, "select sum(charged_cost) from intermediate.int_chargeback_days") == [(D("48.50"),)]  # 25 billed, 23.50 estimated
    assert ask(ws, "select cost from quality.fct_bridge where term = 'remainder'") == [(0,)]


@pytest.mark.parametrize(
    "row, said",
    [
        (
            'attached_by_tag,"node,host",,,,',
            "row 1, column value: 'node,host' is no value of attached_by_tag: tag keys, separated by spaces",
        ),
        ("attached_by_tag,node,,,k,", "row 1, column cluster: 'k' cannot be told: the policy holds for the workspace"),
    ],
)
def test_a_policy_that_cannot_be_followed_stops_the_build(workspace, row, said):
    ws = workspace(SETTINGS, {"config/policies.csv": f"policy,value,valid_from,valid_to,cluster,pool\n{row}\n"})
    with ws.connect() as db:
        schema.ensure(db)
        with pytest.raises(ConfigError, match=said):
            config.load(ws, db)
