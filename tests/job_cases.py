"""A small workspace of jobs whose costs are worked out by hand; ``warehouse/test_jobs.py`` says what must come out.

Each job runs alone on a node of its own, of one GPU at a round price an hour, unless said otherwise. Hours count from 1 September 2026.
"""

from __future__ import annotations

from tests.metering_cases import COLUMNS as METERING
from tests.metering_cases import Cases as MeteringCases
from tests.metering_cases import at
from tests.workspaces import settings_of

SETTINGS = settings_of(
    "bill",
    "fleet",
    "usage",
    "drivers",
    jobs="holdings",
    work="work",
    people="people_time",
    events="events",
    requests="requests",
    spans="spans",
)
COLUMNS = {
    "bill": METERING["bill"].replace("ServiceCategory", "ServiceCategory,ServiceName") + ",Tags",
    "fleet": METERING["fleet"].replace("state", "purchase_option,state"),
    "usage": METERING["usage"],
    "jobs": "holding_id,job_id,attempt,holder_kind,name,cluster,node,gpu_count,submitted_at,started_at,ended_at,outcome,namespace,labels",
    "work": "finished_at,work_id,job_id,cluster,holding_id,kind,number,quantity,is_saved,experiment,model,model_version,commit_id",
    "drivers": "started_at,ended_at,driver,quantity,team,job_id,resource_id,provider",
    "people": "started_at,ended_at,minutes,role,job_id,incident_id,model,team",
    "events": "started_at,ended_at,kind,event_id,job_id,model",
    "requests": "requested_at,request_id,job_id,trace_id,provider,model,input_tokens,output_tokens",
    "spans": "trace_id,span_id,parent_span_id,started_at,ended_at,job_id,request_id",
    "job_costs": "rule_id,component,cost,driver,valid_from,valid_to",
    "prices": "provider,model,token_kind,price_per_million,currency,valid_from,valid_to",
    "people_rates": "role,rate_per_hour,currency,valid_from,valid_to",
    "exchange_rates": "from_currency,to_currency,rate,valid_from,valid_to",
}
RULES = ("job_costs", "prices", "people_rates", "exchange_rates")


class Cases(MeteringCases):
    """The rows of all deliveries and rules."""

    def __init__(self):
        super().__init__({name: [] for name in COLUMNS})

    def add(self, table: str, **values) -> None:
        names = COLUMNS[table].split(",")
        assert set(values) <= set(names), set(values) - set(names)
        cells = ["" if values.get(name) is None else str(values[name]) for name in names]
        self.rows[table].append(",".join('"' + cell.replace('"', '""') + '"' if set(cell) & set('",') else cell for cell in cells))

    def attempt(
        self, job: str, start: float | None, end: float | None, outcome: str | None = None, node: str | None = None, **values
    ) -> None:
        """A holding of one GPU on ``node`` (in cluster k); its id says job and start unless told."""
        self.add(
            "jobs",
            **{
                "holding_id": f"{job}@{start}",
                "job_id": job,
                "cluster": "k",
                "node": node or f"n-{job}",
                "gpu_count": 1,
                "started_at": None if start is None else at(start),
                "ended_at": None if end is None else at(end),
                "outcome": outcome,
            }
            | values,
        )

    def did(self, job: str, hour: float, kind: str, **values) -> None:
        self.add("work", job_id=job, finished_at=at(hour), kind=kind, **values)

    def gpu(self, job: str, hours: float, price: float, **values) -> None:
        """The node that the job runs on, for so many hours."""
        self.node("k", price * hours, hours, node=f"n-{job}", **values)

    def line(self, cost, service: str, resource: str = "", category: str = "Other", tags: str = "", provider: str = "Nimbus") -> None:
        """A charge of 1 September that is of no node."""
        self.add(
            "bill",
            BilledCost=cost,
            EffectiveCost=cost,
            BillingCurrency="USD",
            BillingPeriodStart="2026-09-01",
            BillingPeriodEnd="2026-10-01",
            ChargePeriodStart=at(0),
            ChargePeriodEnd=at(24),
            ChargeCategory="Usage",
            ServiceCategory=category,
            ServiceName=service,
            ResourceId=resource,
            ProviderName=provider,
            Tags=tags,
        )

    def files(self) -> dict[str, str]:
        """Path to text of each delivery and rule file."""
        return {
            (f"config/{name}.csv" if name in RULES else f"landing/{name}/a.csv"): "\n".join([COLUMNS[name], *rows]) + "\n"
            for name, rows in self.rows.items()
            if rows
        }


def cases() -> Cases:
    made = Cases()
    for part in (_checkpoints, _spot, _attempts, _ci, _epochs, _people, _drivers, _traces, _batch):
        part(made)
    return made


def _checkpoints(made: Cases) -> None:
    # 6.00 an hour; saved at 1:20, failed at 2:30: 40 + 30 minutes are lost, 7.00
    made.gpu("train", 6, 6)
    made.attempt("train", 0, 2.5, "failed", submitted_at=at(0))
    made.did("train", 0.5, "step", number=1)
    made.did("train", 4 / 3, "checkpoint")
    made.attempt("train", 3, 5, "succeeded")
    made.did("train", 4, "checkpoint")
    # no checkpoint: all of it
    made.gpu("raw", 2, 3)
    made.attempt("raw", 0, 2, "failed")
    # past midnight, a third of a cent an hour: saved at 23:59, put out at 1:00
    made.gpu("late", 26, 0.01)
    made.attempt("late", 22, 25, "preempted")
    made.did("late", 24 - 1 / 60, "checkpoint")
    # nobody said how it ended
    made.gpu("mute", 1, 1)
    made.attempt("mute", 0, 1, None)


def _spot(made: Cases) -> None:
    # evicted after two hours, saved after one; run again for three
    made.gpu("spot", 8, 2, gpu_model="H100", purchase_option="spot", pool="spot")
    made.attempt("spot", 0, 2, "preempted")
    made.did("spot", 1, "checkpoint")
    made.attempt("spot", 4, 7, "succeeded")
    made.gpu("steady", 4, 5, gpu_model="H100", purchase_option="on_demand", pool="fixed")
    made.attempt("steady", 0, 4, "succeeded")


def _attempts(made: Cases) -> None:
    # two pods at once are one attempt, the pod that takes the place of an evicted one before that is gone the next
    for node in ("gang-a", "gang-b"):
        made.gpu(node, 4, 1)
        made.attempt("gang", 0, 1, "preempted", node=f"n-{node}", holding_id=f"pod-{node}")
    made.attempt("gang", 1 - 30 / 3600, 3, "succeeded", node="n-gang-a", holding_id="pod-again")
    # a requeue: the source numbers its attempts; the third never started
    made.gpu("queued", 4, 1)
    made.attempt("queued", 1, 2, "preempted", attempt=1, submitted_at=at(0))
    made.attempt("queued", 2, 3, "failed", attempt=2, submitted_at=at(0))
    made.attempt("queued", None, None, "pending", attempt=3, submitted_at=at(3), node="")
    # the same number in another cluster is another job
    made.node("other", 4, 1, node="n-queued")
    made.attempt("queued", 0, 1, "succeeded", cluster="other", holding_id="elsewhere")
    made.add("usage", holding_id="queued@1", node="n-queued", started_at=at(1), ended_at=at(2), cpu_seconds=90, memory_gb_seconds=7200)
    # on a node that no list has
    made.attempt("stray", 0, 1, "succeeded", node="nowhere")


def _ci(made: Cases) -> None:
    labels = '{"commit":"abc","repository":"shop/web"}'
    made.gpu("ci", 4, 4)
    made.attempt("ci", 0, 0.5, "failed", attempt=1, holder_kind="ci_job", labels=labels)
    made.attempt("ci", 1, 2, "succeeded", attempt=2, holder_kind="ci_job", labels=labels)


def _epochs(made: Cases) -> None:
    # three epochs, saved after the second; the third is done again, then the fourth: 4 epochs, 5 run
    made.gpu("epochs", 10, 3)
    made.attempt("epochs", 0, 4, "failed")
    for number, hour in ((1, 1), (2, 2), (3, 3)):
        made.did("epochs", hour, "epoch", number=number, experiment="exp-1", model="tiny", model_version="7", work_id=f"e{number}")
    made.did("epochs", 2, "checkpoint")
    made.attempt("epochs", 5, 7, "succeeded")
    made.did("epochs", 6, "epoch", number=3, experiment="exp-1")
    made.did("epochs", 7, "epoch", number=4, experiment="exp-1")
    # the tracker sends a row twice
    made.did("epochs", 1, "epoch", number=1, experiment="exp-1", work_id="e1")


def _people(made: Cases) -> None:
    made.add("people_rates", role="sre", rate_per_hour=60, currency="USD", valid_to="2026-09-02")
    made.add("people_rates", role="SRE", rate_per_hour=90, currency="USD", valid_from="2026-09-02")
    made.add("people_rates", role="lead", rate_per_hour=100, currency="EUR")
    made.add("exchange_rates", from_currency="EUR", to_currency="USD", rate="1.2")
    # an hour and a half, of it an hour before midnight: 60 + 45
    made.add("people", started_at=at(23), ended_at=at(24.5), minutes=90, role="sre", job_id="train", team="ops")
    made.add("people", started_at=at(1), ended_at=at(2), minutes=30, role="Lead", job_id="train")
    # an incident that names two jobs and a model: 60.00 in thirds
    made.add("people", started_at=at(10), ended_at=at(11), minutes=60, role="sre", incident_id="inc-1")
    for named in ({"job_id": "spot"}, {"job_id": "raw"}, {"model": "tiny"}):
        made.add("events", started_at=at(9), ended_at=at(12), kind="incident", event_id="inc-1", **named)
    made.add("people", started_at=at(10), ended_at=at(11), minutes=20, role="sre", team="ops")
    made.add("people", started_at=at(10), ended_at=at(11), minutes=10, role="intern", job_id="steady")


def _drivers(made: Cases) -> None:
    made.add("job_costs", rule_id="a", component="api", cost="provider:geo*; service:maps", driver="api_calls")
    made.add("job_costs", rule_id="b", component="egress", cost="service:Egress", driver="bytes_out")
    made.add("job_costs", rule_id="c", component="observability", cost="component:Logs", driver="telemetry_bytes", valid_from="2026-09-02")
    made.add("job_costs", rule_id="d", component="storage", cost="resource:bucket-1", driver="storage_ops")
    # 10.00 over 3 calls of spot, 3 of train and 1 of nobody, to the last digit
    made.line(10, "Maps", provider="GeoCorp", tags='{"team":"geo"}')
    made.line(4, "Tiles", provider="GeoCorp")
    day = {"started_at": at(0), "ended_at": at(24)}
    for job, calls in (("spot", 3), ("train", 3), (None, 1)):
        made.add("drivers", driver="API_Calls", quantity=calls, job_id=job, team="geo", **day)
    # calls of another provider share out nothing of it
    made.add("drivers", driver="api_calls", quantity=100, job_id="raw", provider="Other", **day)
    made.line(2, "Egress")
    made.line(1, "Logging", category="Logs")
    made.line(6, "Object store", resource="bucket-1", category="Storage")
    made.add("drivers", driver="storage_ops", quantity=1000, job_id="raw", resource_id="bucket-1", **day)
    made.add("drivers", driver="storage_ops", quantity=500, job_id="ghost", resource_id="bucket-1", **day)
    made.add("drivers", driver="storage_ops", quantity=7, job_id="raw", resource_id="bucket-2", **day)


def _traces(made: Cases) -> None:
    asked = {"provider": "Lab", "model": "m", "input_tokens": 1, "output_tokens": 1}
    # 0.25 a token: 0.50 a request
    for kind in ("input", "output"):
        made.add("prices", provider="Lab", model="m", token_kind=kind, price_per_million=250_000, currency="USD")
    made.add("requests", requested_at=at(1), request_id="r1", job_id="train", **asked)
    # spot began the trace the evening before; a part of it is raw's
    made.add("spans", trace_id="t", span_id="s0", started_at=at(23), ended_at=at(23.5), job_id="spot")
    made.add("spans", trace_id="t", span_id="s1", parent_span_id="s0", started_at=at(23), ended_at=at(24.5))
    made.add("spans", trace_id="t", span_id="s2", parent_span_id="s1", started_at=at(24), ended_at=at(24.1), request_id="r2")
    made.add("spans", trace_id="t", span_id="s3", parent_span_id="s1", started_at=at(24), ended_at=at(24.2), job_id="raw")
    made.add("spans", trace_id="t", span_id="s4", parent_span_id="s3", started_at=at(24), ended_at=at(24.1), request_id="r3")
    made.add("requests", requested_at=at(24), request_id="r2", trace_id="t", **asked)
    made.add("requests", requested_at=at(24), request_id="r3", trace_id="t", **asked)
    # no span is known to be the request's: the trace's first
    made.add("requests", requested_at=at(24), request_id="r4", trace_id="t", **asked)
    # a span that no job is above, and a circle
    made.add("spans", trace_id="t", span_id="s9", parent_span_id="s8", started_at=at(24), ended_at=at(24.1), request_id="r5")
    made.add("spans", trace_id="t", span_id="s8", parent_span_id="s9", started_at=at(24), ended_at=at(24.1))
    made.add("requests", requested_at=at(24), request_id="r5", trace_id="t", **asked)


def _batch(made: Cases) -> None:
    # ready after 15 minutes of 8.00 an hour; 4 items in two batches, one of them done twice
    made.gpu("batch", 2, 8)
    made.attempt("batch", 0, 1, "succeeded", submitted_at=at(0))
    made.did("batch", 0.25, "ready")
    made.did("batch", 0.5, "batch", number=1, quantity=3)
    made.did("batch", 0.75, "batch", number=1, quantity=3)
    made.did("batch", 1, "batch", number=2, quantity=1)
