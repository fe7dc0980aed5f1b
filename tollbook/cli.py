"""The command line. Each command is a thin layer over the function that the DAGs call."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from calendar import monthrange
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import duckdb
import typer
from rich.table import Table

from tollbook import commands_close, commands_explain_ledger, commands_journal, commands_restatement, commands_statements, pipeline
from tollbook.console import Format, WorkspaceOption, console, errors
from tollbook.console import tell as _tell
from tollbook.errors import TollbookError
from tollbook.warehouse import lock, publication, state
from tollbook.workspace import SETTINGS_FILE, Workspace

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Tollbook: what did this GPU-hour, job, inference or token cost, who pays, and can I prove it?",
)

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
FullRefreshOption = Annotated[bool, typer.Option("--full-refresh", help="Compute every day again.")]
RestateOption = Annotated[
    datetime | None,
    typer.Option("--restate-from", formats=["%Y-%m-%d"], help="Let changed rules decide from this day on, not only days to come."),
]


class Scale(StrEnum):
    s = "s"
    m = "m"
    l = "l"  # noqa: E741


class By(StrEnum):
    team = "team"
    cost_centre = "cost_centre"
    component = "component"
    bucket = "bucket"


def main() -> None:
    """Run the command line; an error that Tollbook knows ends with its message and exit status 1."""
    try:
        app()
    except (TollbookError, OSError, duckdb.IOException) as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(1)


@app.command()
def init(directory: Path, sample: Annotated[bool, typer.Option(help="With the bundled sample month.")] = False) -> None:
    """Make a workspace in DIRECTORY: settings, rules and a landing folder to fill."""
    if (directory / SETTINGS_FILE).exists():
        raise TollbookError(f"{directory / SETTINGS_FILE} exists already; nothing was changed.")
    if sample:
        shutil.copytree(SAMPLE, directory, dirs_exist_ok=True)
    else:
        (directory / "landing" / "bill").mkdir(parents=True, exist_ok=True)
        shutil.copytree(SAMPLE / "config", directory / "config", dirs_exist_ok=True)
        for file in (directory / "config").glob("*.csv"):
            file.write_text(file.read_text().splitlines()[0] + "\n")
        (directory / SETTINGS_FILE).write_text(_NEW_SETTINGS)
    console.print(f"Workspace in {directory}. Put files into {directory / 'landing'}, then: tollbook run --workspace {directory}")


_NEW_SETTINGS = """\
currency: USD
sources:
  - {name: bill, format: focus, path: landing/bill/*.csv}
"""


@app.command()
def demo(
    directory: Path,
    scale: Annotated[Scale, typer.Option()] = Scale.s,
    days: Annotated[int, typer.Option(min=1)] = 1,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Make a workspace with a made-up fleet at SCALE (per day: s 64, m 1,000, l 10,000 GPUs), and the truth it was made from."""
    from tollbook.demo import generate

    if (directory / SETTINGS_FILE).exists():
        raise TollbookError(f"{directory / SETTINGS_FILE} exists already; nothing was changed.")
    generate(directory, scale.value, days, seed)
    console.print(f"Demo fleet in {directory}. Next: tollbook run --workspace {directory}")


@app.command()
def run(
    workspace: WorkspaceOption = None,
    full_refresh: FullRefreshOption = False,
    restate_from: RestateOption = None,
) -> None:
    """Load, build, check, post and publish: what the DAGs do in a night. Status 1 if a delivery failed, even where the rest published."""
    report = pipeline.run(Workspace.open(workspace), full_refresh, _tell, restate_from and restate_from.date())
    console.print("  ".join(f"{step} {seconds:.1f} s" for step, seconds in report.seconds.items()))
    if report.failures:
        raise TollbookError("published what could be loaded; these deliveries failed:\n" + "\n".join(report.failures))


@app.command()
def pull(
    sources: Annotated[list[str] | None, typer.Argument(help="Names; all with a `pull` section by default.")] = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="From this day on.")] = None,
    until: Annotated[datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="Up to this day, itself not.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Pull model vendors' reports into the landing folder: new days, and those that may have been restated."""
    from tollbook.landing import pull as pulling

    opened = Workspace.open(workspace)
    wanted = [opened.source(name) for name in sources] if sources else pulling.pulled_sources(opened)
    failures = []
    for source in wanted:
        try:
            _tell(str(pulling.pull_source(opened, source, first and first.date(), until and until.date())))
        except TollbookError as error:
            failures.append(str(error))
    if failures:
        raise TollbookError("these sources could not be pulled; what was delivered before stays:\n" + "\n".join(failures))


@app.command()
def load(
    sources: Annotated[list[str] | None, typer.Argument(help="Names; all by default.")] = None, workspace: WorkspaceOption = None
) -> None:
    """Load what lies in the landing folder. Loading the same again changes nothing."""
    reports = pipeline.load(Workspace.open(workspace), sources, tell=_tell)
    _fail_on(reports)


@app.command()
def reprocess(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"])],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"])],
    sources: Annotated[list[str] | None, typer.Argument(help="Names; all by default.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Load the kept deliveries of some days once more, then build, check and publish those days."""
    opened = Workspace.open(workspace)
    reports = pipeline.load(opened, sources, days=(first.date(), last.date()), tell=_tell)
    pipeline.build(opened, tell=_tell)
    pipeline.check(opened, tell=_tell)
    pipeline.post(opened, tell=_tell)
    pipeline.publish(opened, tell=_tell)
    _fail_on(reports)


@app.command()
def build(
    workspace: WorkspaceOption = None,
    full_refresh: FullRefreshOption = False,
    restate_from: RestateOption = None,
) -> None:
    """Compute the marts for the days that changed."""
    pipeline.build(Workspace.open(workspace), full_refresh, _tell, restate_from and restate_from.date())


@app.command()
def check(workspace: WorkspaceOption = None) -> None:
    """Run the gates at both edges. Status 1 if one of severity error does not pass."""
    pipeline.check(Workspace.open(workspace), _tell)


@app.command()
def post(workspace: WorkspaceOption = None) -> None:
    """Bring the ledger to what was built and audited. Posting again posts nothing."""
    pipeline.post(Workspace.open(workspace), _tell)


@app.command()
def publish(workspace: WorkspaceOption = None) -> None:
    """Swap in the marts that the newest audit passed."""
    pipeline.publish(Workspace.open(workspace), _tell)


@app.command()
def summary(workspace: WorkspaceOption = None) -> None:
    """Where the money went, from what is published."""
    from tollbook.report.summary import print_summary

    opened = Workspace.open(workspace)
    publication.connect(opened).close()
    print_summary(opened.published_db, console)


@app.command()
def status(workspace: WorkspaceOption = None) -> None:
    """What arrived, what is stale or failed, what is in quarantine, and when was published."""
    from tollbook import status as standing

    for table in standing.tables(Workspace.open(workspace)):
        console.print(table)


@app.command()
def query(
    sql: str,
    workspace: WorkspaceOption = None,
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
) -> None:
    """Ask the published marts with SQL, read-only."""
    with publication.connect(Workspace.open(workspace)) as db:
        try:
            result = db.sql(sql)
        except duckdb.Error as error:
            raise TollbookError(str(error)) from error
        if result is None:
            return
        if format is Format.csv:
            # not through a data frame: a decimal keeps every digit
            writer = csv.writer(sys.stdout)
            writer.writerow(result.columns)
            writer.writerows(result.fetchall())
        elif format is Format.json:
            rows = [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
            print(json.dumps(rows, default=str, indent=2))
        else:
            table = Table(*result.columns)
            for row in result.fetchall():
                table.add_row(*("" if value is None else str(value) for value in row))
            console.print(table)


@app.command()
def simulate(
    policy: Annotated[list[Path], typer.Option("--policy", help="A rule file, as in config/; may be given several times.")],
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, itself too.")] = None,
    month: Annotated[datetime | None, typer.Option(formats=["%Y-%m"], help="A month; the last with data by default.")] = None,
    by: Annotated[By, typer.Option(help="What to compare.")] = By.team,
    workspace: WorkspaceOption = None,
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
) -> None:
    """What other rules would have charged, beside what is charged now. Changes nothing. Status 1 if the total is not the same."""
    from tollbook import simulate as simulation
    from tollbook.report.summary import rendered

    days = (first and first.date(), last and last.date())
    if month:
        if first or last:
            raise TollbookError("give either --month, or --from and --to.")
        days = (month.date(), month.date().replace(day=monthrange(month.year, month.month)[1]))
    outcome = simulation.simulate(Workspace.open(workspace), policy, *days, by.value, errors.print)
    if format is Format.table:
        _tell(outcome.headline)
        console.print(rendered(simulation.table(outcome)), crop=False)
    elif format is Format.csv:
        # the table is for machines; what is said of it goes beside it
        for line in (outcome.headline, *outcome.notes):
            errors.print(line, markup=False, soft_wrap=True)
        records = simulation.records(outcome)
        writer = csv.DictWriter(sys.stdout, records[0])
        writer.writeheader()
        writer.writerows(records)
    else:
        print(json.dumps(simulation.document(outcome), default=str, indent=2))
    if outcome.fault:
        raise TollbookError(outcome.fault)


@app.command()
def compare(
    a: Annotated[
        str,
        typer.Argument(
            help="model_version:<model>@<version>, variant:<model>@<variant>, model:<model>, month:2026-08 or 2026-09-01..2026-09-15."
        ),
    ],
    b: Annotated[str, typer.Argument(help="The other one: fails where it is dearer than A.")],
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", help="May be given several times; full_cost_per_inference by default.")
    ] = None,
    fail_above: Annotated[str | None, typer.Option(help="How far B may be above A: 5% or 0.05.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    feature: Annotated[str | None, typer.Option(help="Only this feature.")] = None,
    team: Annotated[str | None, typer.Option(help="Only this team.")] = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, itself too.")] = None,
    workspace: WorkspaceOption = None,
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
) -> None:
    """A cost regression gate over what is published. Status 1 if B is too far above A, 2 if that cannot be told."""
    from tollbook import compare as comparing
    from tollbook.report.summary import rendered

    try:
        given = {"model": model, "tenant": tenant, "feature": feature, "team": team}
        filters = {name: value for name, value in given.items() if value is not None}
        share = None if fail_above is None else comparing.parse_threshold(fail_above)
        opened = Workspace.open(workspace)
        with publication.connect(opened) as db:
            days = (first and first.date(), last and last.date())
            found = comparing.compare(db, a, b, metric or ["full_cost_per_inference"], share, filters, days)
    except (TollbookError, duckdb.Error) as error:
        # not 1: that would say that the cost rose
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    if format is Format.json:
        print(json.dumps(comparing.document(a, b, found, opened.currency), indent=2))
    elif format is Format.csv:
        records = comparing.records(found)
        writer = csv.DictWriter(sys.stdout, records[0])
        writer.writeheader()
        writer.writerows(records)
    else:
        console.print(rendered(comparing.table(a, b, found, opened.currency)), crop=False)
    raise typer.Exit(comparing.status(found))


explain_app = typer.Typer(no_args_is_help=True, help="Where a cost comes from, down to bill rows and telemetry.")
app.add_typer(explain_app, name="explain")
commands_explain_ledger.register(explain_app, console)


@explain_app.command("job")
def explain_job(job_id: str, workspace: WorkspaceOption = None) -> None:
    """One job: attempts, what they held, and the bill lines behind it."""
    from tollbook import explain

    with publication.connect(Workspace.open(workspace)) as db:
        console.print(explain.job(db, job_id))


@explain_app.command("request")
def explain_request(request_id: str, workspace: WorkspaceOption = None) -> None:
    """One request (its id or idempotency key): tries, tokens, prices, and what each part of its cost is a share of. Reads the warehouse."""
    from tollbook import explain_requests

    with lock.reading(Workspace.open(workspace)) as db:
        console.print(explain_requests.request(db, request_id))


@explain_app.command("tenant")
def explain_tenant(tenant: str, day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"])], workspace: WorkspaceOption = None) -> None:
    """One tenant's day: components by model, and the bill lines or servers behind them."""
    from tollbook import explain_requests

    with publication.connect(Workspace.open(workspace)) as db:
        console.print(explain_requests.tenant_day(db, tenant, day.date()))


@explain_app.command("token-day")
def explain_token_day(
    model: str, day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"])], workspace: WorkspaceOption = None
) -> None:
    """One model's day: components by tenant, and the bill lines or servers behind them."""
    from tollbook import explain_requests

    with publication.connect(Workspace.open(workspace)) as db:
        console.print(explain_requests.token_day(db, model, day.date()))


@explain_app.command("team-day")
def explain_team_day(team: str, day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"])], workspace: WorkspaceOption = None) -> None:
    """One team's (or bucket's) day: components, holders, models and bill lines."""
    from tollbook import explain

    with publication.connect(Workspace.open(workspace)) as db:
        console.print(explain.team_day(db, team, day.date()))


estimate_app = typer.Typer(no_args_is_help=True, help="What it will cost, before it runs. Status 1 if nothing known prices it.")
app.add_typer(estimate_app, name="estimate")
DaysOption = Annotated[int, typer.Option(min=1, help="How many days of history, back from the newest.")]


@estimate_app.command("job")
def estimate_job(
    gpus: Annotated[str, typer.Option(help="How many.")],
    gpu_model: Annotated[str | None, typer.Option(help="Such as H100.")] = None,
    hours: Annotated[str | None, typer.Option(help="How long an attempt lasts; as those --like it by default.")] = None,
    pool: Annotated[str | None, typer.Option(help="Where it runs.")] = None,
    like: Annotated[str | None, typer.Option(help="Name of jobs that ran, * stands for anything: how long, how many tries.")] = None,
    days: DaysOption = 30,
    workspace: WorkspaceOption = None,
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
) -> None:
    """A job on GPUs, by what a GPU-hour cost by day and how jobs like it went."""
    from tollbook import estimate

    with publication.connect(Workspace.open(workspace)) as db:
        _show_estimate(
            estimate.job(db, estimate.number("--gpus", gpus), gpu_model, estimate.number("--hours", hours), pool, like, days), format
        )


@estimate_app.command("tokens")
def estimate_tokens(
    model: Annotated[str, typer.Option(help="As in requests or the price book.")],
    input_tokens: Annotated[int, typer.Option(min=0, help="Of each request, cached ones included.")],
    output_tokens: Annotated[int, typer.Option(min=0, help="Of each request, reasoning included.")],
    cached_input_tokens: Annotated[int, typer.Option(min=0, help="Part of the input that a cache has.")] = 0,
    requests: Annotated[int, typer.Option(min=1)] = 1,
    provider: Annotated[str | None, typer.Option(help="Who serves it; an empty text for an own fleet.")] = None,
    tier: Annotated[str | None, typer.Option(help="batch, flex, priority; standard by default.")] = None,
    region: Annotated[str | None, typer.Option()] = None,
    at: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="Prices of then (UTC); now by default.")
    ] = None,
    days: DaysOption = 30,
    workspace: WorkspaceOption = None,
    format: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
) -> None:
    """Calls of a model, by the price book and by what the model's tokens cost in full."""
    from tollbook import estimate

    with publication.connect(Workspace.open(workspace)) as db:
        found = estimate.tokens(db, model, input_tokens, output_tokens, cached_input_tokens, requests, provider, tier, region, at, days)
        _show_estimate(found, format)


def _show_estimate(found, format: Format) -> None:
    from tollbook import estimate
    from tollbook.report.summary import rendered

    if format is Format.table:
        console.print(rendered(estimate.table(found)), crop=False)
    elif format is Format.json:
        print(json.dumps(estimate.document(found), default=str, indent=2))
    else:
        document = estimate.document(found)
        writer = csv.DictWriter(sys.stdout, ["basis", "what", "low", "expected", "high", "currency_code"])
        writer.writeheader()
        for part in (*document["parts"], {"what": "estimate", **{name: document[name] for name in ("basis", "low", "expected", "high")}}):
            writer.writerow(part | {"currency_code": document["currency_code"]})
    if found.fault:
        raise TollbookError(found.fault)


export_app = typer.Typer(no_args_is_help=True, help="What is published, in a shape that other tools read.")
app.add_typer(export_app, name="export")


@export_app.command("focus")
def export_focus(
    out: Annotated[Path, typer.Option("--out", help="FILE.csv, FILE.csv.gz or FILE.parquet.")],
    period: Annotated[datetime | None, typer.Option(formats=["%Y-%m"], help="One billing period; all by default.")] = None,
    version: Annotated[str, typer.Option(help="Of FOCUS.")] = "1.2",
    workspace: WorkspaceOption = None,
) -> None:
    """The published charges, own ledgers included, as a FOCUS Cost and Usage file."""
    from tollbook.report import focus_export

    with publication.connect(Workspace.open(workspace)) as db:
        rows = focus_export.export_focus(db, out, period.date() if period else None, version)
    console.print(f"{rows:,} charges in {out}", soft_wrap=True)


@app.command()
def backup(file: Path, workspace: WorkspaceOption = None) -> None:
    """Keep rules, deliveries, warehouse and published marts in one tar FILE."""
    console.print(f"kept in {file} ({state.backup(Workspace.open(workspace), file) / 1e6:,.1f} MB)")


@app.command()
def restore(file: Path, workspace: WorkspaceOption = None) -> None:
    """Bring a backup back into the workspace: all of it, or nothing."""
    root = Path(workspace or ".")
    state.restore(root, file)
    console.print(f"restored {root} from {file}")


def _fail_on(reports: list) -> None:
    failures = [failure for report in reports for failure in report.failures]
    if failures:
        raise TollbookError("these deliveries failed; what was loaded before stays:\n" + "\n".join(failures))


commands_journal.register(app, export_app)
commands_restatement.register(app)
commands_close.register(app)
commands_statements.register(app)

if __name__ == "__main__":
    main()
