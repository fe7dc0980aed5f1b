"""Airflow standalone on loopback with the DAGs live on a workspace.

    python scripts/run_airflow.py WORKSPACE

Ctrl-C and SIGTERM (``kill``, ``systemctl stop``) end all of its processes.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import airflow_env
import psutil

PATIENCE = 20.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(workspace: Path) -> int:
    airflow_env.apply(workspace)
    airflow_env.prepare()
    # standalone starts its parts by name
    programs = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    return run([f"{programs}/airflow", "standalone"], environment)


def run(command: list[str], environment: dict[str, str], patience: float = PATIENCE) -> int:
    """Run the command in a session of its own until it ends or a signal comes; either way nothing of it is left.

    Returns its exit code; 0 when it was asked to stop and did so within ``patience`` seconds, 1 when it had to be killed.
    """
    asked, started = [], []

    def stop(number, _):
        asked.append(number)
        if started:
            raise KeyboardInterrupt

    for number in _SIGNALS:
        signal.signal(number, stop)
    process = subprocess.Popen(command, start_new_session=True, env=environment)
    code = 0
    try:
        started.append(process)
        if not asked:
            code = process.wait()
    except KeyboardInterrupt:
        pass
    finally:
        # a second signal must not leave some of them running
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        killed = _end(process, patience)
    return 1 if killed else code


def _end(process: subprocess.Popen, patience: float) -> bool:
    """End the session's processes, first kindly; whether one had to be killed."""
    deadline, told, killed = time.monotonic() + patience, set(), False
    # Airflow's tasks leave the process group, not the session; one that ends may just have started another
    while left := _session(process):
        late = time.monotonic() > deadline
        for one in left:
            if late or one not in told:
                told.add(one)
                killed |= late
                try:
                    one.kill() if late else one.terminate()
                except psutil.NoSuchProcess:
                    continue
        psutil.wait_procs([one for one in left if one.pid != process.pid], timeout=0.2)
    process.wait()
    return killed


def _session(leader: subprocess.Popen) -> list[psutil.Process]:
    leader.poll()
    found = []
    for one in psutil.process_iter():
        try:
            if os.getsid(one.pid) == leader.pid and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except (ProcessLookupError, psutil.NoSuchProcess, PermissionError):
            continue
    return found


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
