"""Time and memory of a night on a demo fleet.

    python bench/night.py l [--runs 3]

Makes the fleet once, runs `tollbook run` on a fresh copy each time, and prints per step and run the seconds and the peak memory
of the process; then the medians.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TOLLBOOK = [sys.executable, "-m", "tollbook.cli"]


def night(fleet: Path, place: Path) -> dict[str, float]:
    """Seconds by step, all of them together, and peak resident memory in GB, of one run from nothing."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(fleet, place)
    process = subprocess.Popen([*TOLLBOOK, "run", "-w", str(place)], stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(said)
    steps = {step: float(seconds) for step, seconds in re.findall(r"(load|build|check|publish) ([0-9.]+) s", said.splitlines()[-1])}
    return steps | {"all": sum(steps.values()), "peak_gb": usage.ru_maxrss / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scale", choices=["s", "m", "l"])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fleet = Path(folder) / "fleet"
        subprocess.run([*TOLLBOOK, "demo", str(fleet), "--scale", options.scale], check=True, stdout=subprocess.DEVNULL)
        runs = [night(fleet, Path(folder) / "run") for _ in range(options.runs)]
    for figures in [*runs, {name: statistics.median(run[name] for run in runs) for name in runs[0]}]:
        print("  ".join(f"{name} {figure:7.2f}" for name, figure in figures.items()), "" if figures in runs else "(median)")


if __name__ == "__main__":
    main()
