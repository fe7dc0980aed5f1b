"""Statements: what a month charged to each cost centre and tenant, as workbooks and PDFs that tie to the cent."""

from tollbook.finance.statements.figures import Statement
from tollbook.finance.statements.issuing import issue, issue_closed, issue_draft

__all__ = ["Statement", "issue", "issue_closed", "issue_draft"]
