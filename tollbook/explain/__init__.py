"""Where a cost comes from: trees from a job, a request, a statement or an invoice, down to telemetry and bill rows."""
