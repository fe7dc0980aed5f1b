"""Before it is decided: other rules, other models, another job."""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import duckdb
import typer

from tollbook.commands.console import FirstOption, Format, FormatOption, LastOption, WorkspaceOption, errors, show, tell
from tollbook.errors import TollbookError
from tollbook.warehouse import publication
from tollbook.workspace import Workspace

estimate_app = typer.Typer(no_args_is_help=True, help="What it will cost, before it runs. Status 1 if nothing known prices it.")
DaysOption = Annotated[int, typer.Option(min=1, help="How many days of history, back from the newest.")]


class By(StrEnum):
    team = "team"
    cost_centre = "cost_centre"
    component = "component"
    bucket = "bucket"


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(simulate)
    app.command()(compare)
    app.add_typer(estimate_app, name="estimate")


def simulate(
    policy: Annotated[list[Path], typer.Option("--policy", help="A rule file, as in config/; may be given several times.")],
    first: FirstOption = None,
    last: LastOption = None,
    month: Annotated[datetime | None, typer.Option(formats=["%Y-%m"], help="A month; the last with data by default.")] = None,
    by: Annotated[By, typer.Option(help="What to compare.")] = By.team,
    workspace: WorkspaceOption = None,
    format: FormatOption = Format.table,
) -> None:
    """What other rules would have charged, beside what is charged now. Changes nothing. Status 1 if the total is not the same."""
    from tollbook.decisions import simulate as simulation

    days = (first and first.date(), last and last.date())
    if month:
        if first or last:
            raise TollbookError("give either --month, or --from and --to.")
        days = (month.date(), month.date().replace(day=monthrange(month.year, month.month)[1]))
    outcome = simulation.simulate(Workspace.open(workspace), policy, *days, by.value, errors.print)
    if format is Format.table:
        tell(outcome.headline)
    elif format is Format.csv:
        # the table is for machines; what is said of it goes beside it
        for line in (outcome.headline, *outcome.notes):
            errors.print(line, markup=False, soft_wrap=True)
    show(format, simulation.records(outcome), simulation.document(outcome), simulation.table(outcome))
    if outcome.fault:
        raise TollbookError(outcome.fault)


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
    first: FirstOption = None,
    last: LastOption = None,
    workspace: WorkspaceOption = None,
    format: FormatOption = Format.table,
) -> None:
    """A cost regression gate over what is published. Status 1 if B is too far above A, 2 if that cannot be told."""
    from tollbook.decisions import compare as comparing

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
    currency = opened.currency
    show(format, comparing.records(found), comparing.document(a, b, found, currency), comparing.table(a, b, found, currency))
    raise typer.Exit(comparing.status(found))


@estimate_app.command("job")
def estimate_job(
    gpus: Annotated[str, typer.Option(help="How many.")],
    gpu_model: Annotated[str | None, typer.Option(help="Such as H100.")] = None,
    hours: Annotated[str | None, typer.Option(help="How long an attempt lasts; as those --like it by default.")] = None,
    pool: Annotated[str | None, typer.Option(help="Where it runs.")] = None,
    like: Annotated[str | None, typer.Option(help="Name of jobs that ran, * stands for anything: how long, how many tries.")] = None,
    days: DaysOption = 30,
    workspace: WorkspaceOption = None,
    format: FormatOption = Format.table,
) -> None:
    """A job on GPUs, by what a GPU-hour cost by day and how jobs like it went."""
    from tollbook.decisions import estimate

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
    format: FormatOption = Format.table,
) -> None:
    """Calls of a model, by the price book and by what the model's tokens cost in full."""
    from tollbook.decisions import estimate

    with publication.connect(Workspace.open(workspace)) as db:
        found = estimate.tokens(db, model, input_tokens, output_tokens, cached_input_tokens, requests, provider, tier, region, at, days)
        _show_estimate(found, format)


def _show_estimate(found, format: Format) -> None:
    from tollbook.decisions import estimate

    show(format, estimate.records(found), estimate.document(found), estimate.table(found))
    if found.fault:
        raise TollbookError(found.fault)
