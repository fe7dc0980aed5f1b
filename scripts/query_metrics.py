"""Ask MetricFlow for metrics of a workspace: what is published, by any dimension, offline.

    .metricflow/bin/python scripts/query_metrics.py WORKSPACE query --metrics full_cost_per_million_tokens --group-by tenant
    .metricflow/bin/python scripts/query_metrics.py WORKSPACE list metrics

What follows the workspace are MetricFlow's own arguments; of a dimension its name is enough (tenant for token_cost__tenant). It lives in an environment of its own (`make metricflow`; pins in
environments/metricflow.txt). The semantic models are those of dbt_project/models/semantic; nothing is written but the workspace's `.tmp`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


def main(workspace: Path, arguments: list[str]) -> None:
    database = workspace / "published" / "tollbook.duckdb"
    if not database.is_file():
        sys.exit(f"nothing is published in {workspace} yet: `tollbook run` first")
    # MetricFlow looks for what dbt parsed inside the project's own folder
    project = workspace / ".tmp" / "metricflow"
    for folder in ("models", "macros", "seeds"):
        shutil.rmtree(project / folder, ignore_errors=True)
        shutil.copytree(REPO / "dbt_project" / folder, project / folder)
    for file in ("dbt_project.yml", "profiles.yml"):
        shutil.copy2(REPO / "dbt_project" / file, project / file)
    os.environ.update(
        TOLLBOOK_WAREHOUSE=str(database),
        # published is published: nobody writes to it
        TOLLBOOK_DUCKDB_CONFIG='{"access_mode": "read_only"}',
        DO_NOT_TRACK="1",
        DBT_SEND_ANONYMOUS_USAGE_STATS="false",
        DBT_PROFILES_DIR=str(project),
        DBT_PROJECT_DIR=str(project),
        DBT_LOG_LEVEL="none",
    )
    os.chdir(project)

    # these take seconds to import, and read the environment
    from dbt.cli.main import dbtRunner

    parsed = dbtRunner().invoke(["parse", "--quiet"])
    if not parsed.success:
        sys.exit(f"the semantic models cannot be read: {parsed.exception}")

    from update_checker import UpdateChecker

    # it would ask the network for a newer version
    UpdateChecker.check = lambda *_, **__: None

    from dbt_metricflow.cli.main import cli

    cli(_full_names(arguments, project / "target" / "semantic_manifest.json"), prog_name="mf")


def _full_names(arguments: list[str], manifest: Path) -> list[str]:
    """Arguments with the dimensions of ``--group-by`` named as MetricFlow does: with the entity of the first metric's semantic model."""
    if "--metrics" not in arguments or "--group-by" not in arguments:
        return arguments
    said = json.loads(manifest.read_text())
    metric = arguments[arguments.index("--metrics") + 1].split(",")[0].strip()
    measures = {one["name"] for found in said["metrics"] if found["name"] == metric for one in found["type_params"]["input_measures"]}
    full = {
        dimension["name"]: f"{model['primary_entity']}__{dimension['name']}"
        for model in said["semantic_models"]
        if measures & {one["name"] for one in model["measures"]}
        for dimension in model["dimensions"]
    }
    place = arguments.index("--group-by") + 1
    names = ",".join(full.get(name.strip(), name.strip()) for name in arguments[place].split(","))
    return [*arguments[:place], names, *arguments[place + 1 :]]


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
