"""Airflow standalone on loopback with the DAGs live on a workspace.

    python scripts/run_airflow.py WORKSPACE

Ctrl-C ends all of its processes: they are one process group.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import airflow_env


def main(workspace: Path) -> int:
    airflow_env.apply(workspace)
    airflow_env.prepare()
    # standalone starts its parts by name
    programs = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen([f"{programs}/airflow", "standalone"], start_new_session=True, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            return process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
