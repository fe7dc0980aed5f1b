"""What a build from nothing takes, model by model: shared by the benches."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

TOLLBOOK = [sys.executable, "-m", "tollbook.cli"]


def demo(workspace: Path, scale: str) -> None:
    """Make a demo fleet of one day and load it."""
    subprocess.run([*TOLLBOOK, "demo", str(workspace), "--scale", scale], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*TOLLBOOK, "load", "-w", str(workspace)], check=True, stdout=subprocess.DEVNULL)


def seconds_by_model(workspace: Path) -> tuple[dict[str, float], float]:
    """Seconds of each model by its file's path, and peak resident memory in GB, of a build from nothing."""
    process = subprocess.Popen([*TOLLBOOK, "build", "--full-refresh", "-w", str(workspace)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("the build failed")
    results = json.loads((workspace / ".tmp" / "dbt" / "run_results.json").read_text())["results"]
    nodes = json.loads((workspace / ".tmp" / "dbt" / "manifest.json").read_text())["nodes"]
    models = {
        nodes[result["unique_id"]]["original_file_path"]: result["execution_time"]
        for result in results
        if nodes[result["unique_id"]]["resource_type"] == "model"
    }
    return models, usage.ru_maxrss / 1e6


def of(models: dict[str, float], pattern: str) -> float:
    """Seconds of the models whose path matches."""
    return sum(seconds for path, seconds in models.items() if re.search(pattern, path))
