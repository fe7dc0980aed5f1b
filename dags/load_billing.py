"""Load every billing source of the workspace: FOCUS exports and the on-prem ledger.

One mapped task a source; each that succeeds is an event of the asset that starts `build_warehouse`. A source that fails
is retried, then fails alone: the others load, the build runs on what arrived, and the rows loaded before stay.

If it fails: read the task's last lines, mend the file or `tollbook.yml`, and clear the task. A reload replaces, so
nothing doubles. `tollbook status` shows what arrived and what is in quarantine.
"""

# Airflow looks for the words airflow and dag before it reads a file
from tollbook_dags import BILLING, load_dag

load_billing = load_dag("load_billing", BILLING, "0 5 * * *", billing=True, doc=__doc__)
