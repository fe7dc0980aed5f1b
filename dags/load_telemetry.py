"""Load every telemetry source of the workspace: capacity, holdings, Slurm, samples, requests.

One mapped task a source; each that succeeds is an event of the asset that starts `build_warehouse`. A source that fails
is retried, then fails alone: the others load, the build runs on what arrived, and the rows loaded before stay.

If it fails: read the task's last lines, mend the file or `tollbook.yml`, and clear the task. A reload replaces, so
nothing doubles. `tollbook status` shows what arrived and what is in quarantine.
"""

# Airflow looks for the words airflow and dag before it reads a file
from tollbook_dags import TELEMETRY, load_dag

load_telemetry = load_dag("load_telemetry", TELEMETRY, "30 4 * * *", billing=False, doc=__doc__)
