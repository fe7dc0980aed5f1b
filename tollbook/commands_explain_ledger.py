"""The commands that explain the ledger: statements, postings, invoices and bill rows."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from tollbook.console import WorkspaceOption
from tollbook.errors import TollbookError
from tollbook.warehouse import lock, publication
from tollbook.workspace import Workspace


def register(app: typer.Typer, console: Console) -> None:
    """Add the commands to ``tollbook explain``."""

    @app.command("statement")
    def explain_statement(
        statement_id: str,
        line: Annotated[int | None, typer.Argument(help="Number of a line; without it, the lines are listed.")] = None,
        workspace: WorkspaceOption = None,
    ) -> None:
        """A statement's lines, or one line: postings, what was allocated, bill rows with file and row, telemetry. Reads the warehouse."""
        from tollbook import explain_ledger

        opened = Workspace.open(workspace)
        with lock.reading(opened) as db:
            console.print(explain_ledger.statement(db, opened.closed, statement_id, line))

    @app.command("posting")
    def explain_posting(posting_id: int, workspace: WorkspaceOption = None) -> None:
        """One posting: key, run, what the models said, what the ledger held before, and what it is made of. Reads the warehouse."""
        from tollbook import explain_ledger

        opened = Workspace.open(workspace)
        with lock.reading(opened) as db:
            console.print(explain_ledger.posting(db, opened.closed, posting_id))

    @app.command("invoice")
    def explain_invoice(
        invoice_id: str,
        issuer: Annotated[str | None, typer.Option(help="Who issued it, where several have one of that number.")] = None,
        line: Annotated[str | None, typer.Option(help="FILE:ROW, one of its bill rows.")] = None,
        workspace: WorkspaceOption = None,
    ) -> None:
        """An invoice upwards: its bill rows, when they accrue, what the ledger owes, and who pays on which statement."""
        from tollbook import explain_bills

        with publication.connect(Workspace.open(workspace)) as db:
            if line is None:
                console.print(explain_bills.invoice(db, invoice_id, issuer))
                return
            file, _, row = line.rpartition(":")
            if not file or not row.isdecimal():
                raise TollbookError(f"--line {line}: give FILE:ROW, such as landing/cloud_bill/2026-09.csv:12.")
            console.print(explain_bills.bill_line(db, file, int(row), invoice_id=invoice_id))

    @app.command("bill-line")
    def explain_bill_line(source: str, file: str, row: int, workspace: WorkspaceOption = None) -> None:
        """One bill row upwards: delivery, owner and rule, the days it accrues to, and who pays."""
        from tollbook import explain_bills

        with publication.connect(Workspace.open(workspace)) as db:
            console.print(explain_bills.bill_line(db, file, row, source))
