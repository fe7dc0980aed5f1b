"""The ledger and what finance gets of it: postings, closes, statements, the journal."""
