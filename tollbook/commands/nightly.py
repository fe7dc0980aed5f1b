"""The steps of a night: what the DAGs do, one by one or all together."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from tollbook import pipeline
from tollbook.commands.console import WorkspaceOption, console, tell
from tollbook.errors import TollbookError
from tollbook.workspace import Workspace

FullRefreshOption = Annotated[bool, typer.Option("--full-refresh", help="Compute every day again.")]
RestateOption = Annotated[
    datetime | None,
    typer.Option("--restate-from", formats=["%Y-%m-%d"], help="Let changed rules decide from this day on, not only days to come."),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(run)
    app.command()(pull)
    app.command()(load)
    app.command()(reprocess)
    app.command()(build)
    app.command()(check)
    app.command()(post)
    app.command()(publish)


def run(
    workspace: WorkspaceOption = None,
    full_refresh: FullRefreshOption = False,
    restate_from: RestateOption = None,
) -> None:
    """Load, build, check, post and publish: what the DAGs do in a night. Status 1 if a delivery failed, even where the rest published."""
    report = pipeline.run(Workspace.open(workspace), full_refresh, tell, restate_from and restate_from.date())
    console.print("  ".join(f"{step} {seconds:.1f} s" for step, seconds in report.seconds.items()))
    if report.failures:
        raise TollbookError("published what could be loaded; these deliveries failed:\n" + "\n".join(report.failures))


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
            tell(str(pulling.pull_source(opened, source, first and first.date(), until and until.date())))
        except TollbookError as error:
            failures.append(str(error))
    if failures:
        raise TollbookError("these sources could not be pulled; what was delivered before stays:\n" + "\n".join(failures))


def load(
    sources: Annotated[list[str] | None, typer.Argument(help="Names; all by default.")] = None, workspace: WorkspaceOption = None
) -> None:
    """Load what lies in the landing folder. Loading the same again changes nothing."""
    reports = pipeline.load(Workspace.open(workspace), sources, tell=tell)
    _fail_on(reports)


def reprocess(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"])],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"])],
    sources: Annotated[list[str] | None, typer.Argument(help="Names; all by default.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Load the kept deliveries of some days once more, then build, check and publish those days."""
    opened = Workspace.open(workspace)
    reports = pipeline.load(opened, sources, days=(first.date(), last.date()), tell=tell)
    pipeline.build(opened, tell=tell)
    pipeline.check(opened, tell=tell)
    pipeline.post(opened, tell=tell)
    pipeline.publish(opened, tell=tell)
    _fail_on(reports)


def build(
    workspace: WorkspaceOption = None,
    full_refresh: FullRefreshOption = False,
    restate_from: RestateOption = None,
) -> None:
    """Compute the marts for the days that changed."""
    pipeline.build(Workspace.open(workspace), full_refresh, tell, restate_from and restate_from.date())


def check(workspace: WorkspaceOption = None) -> None:
    """Run the gates at both edges. Status 1 if one of severity error does not pass."""
    pipeline.check(Workspace.open(workspace), tell)


def post(workspace: WorkspaceOption = None) -> None:
    """Bring the ledger to what was built and audited. Posting again posts nothing."""
    pipeline.post(Workspace.open(workspace), tell)


def publish(workspace: WorkspaceOption = None) -> None:
    """Swap in the marts that the newest audit passed."""
    pipeline.publish(Workspace.open(workspace), tell)


def _fail_on(reports: list) -> None:
    failures = [failure for report in reports for failure in report.failures]
    if failures:
        raise TollbookError("these deliveries failed; what was loaded before stays:\n" + "\n".join(failures))
