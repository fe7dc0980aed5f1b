"""scripts/run_airflow.py ends all of Airflow's processes, however it is asked to; a script stands in for Airflow."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

# like Airflow: a part of its own, and a task that leaves the process group and does not heed SIGTERM
STANDIN = """
import os, signal, subprocess, sys, time
part = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
deaf = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.setpgid(0, 0); print(1, flush=True); time.sleep(600)"
task = subprocess.Popen([sys.executable, "-c", deaf if sys.argv[1] == "deaf" else "import time; time.sleep(600)"], stdout=subprocess.PIPE)
if sys.argv[1] == "deaf":
    task.stdout.readline()
print(os.getpid(), part.pid, task.pid, flush=True)
if sys.argv[1] == "ends":
    sys.exit(3)
time.sleep(600)
"""
DRIVER = "import os, sys, run_airflow; sys.exit(run_airflow.run([sys.executable, '-c', *sys.argv[1:]], dict(os.environ), patience=0.5))"


def start(repo, manner):
    """The script with its stand-in running, and the process ids of the latter."""
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, STANDIN, manner], cwd=repo / "scripts", stdout=subprocess.PIPE, text=True)
    return driver, [psutil.Process(int(pid)) for pid in driver.stdout.readline().split()]


def left(processes):
    return [one.pid for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all_of_its_processes(repo, number):
    driver, processes = start(repo, "heeds")
    assert len(processes) == 3 and all(os.getsid(one.pid) == processes[0].pid for one in processes)
    driver.send_signal(number)
    assert driver.wait() == 0
    assert left(processes) == []


def test_what_does_not_heed_is_killed_in_the_end(repo):
    driver, processes = start(repo, "deaf")
    driver.send_signal(signal.SIGTERM)
    assert driver.wait() == 1
    assert left(processes) == []


def test_when_it_ends_by_itself_nothing_stays_and_its_code_is_handed_on(repo):
    driver, processes = start(repo, "ends")
    assert driver.wait() == 3
    assert left(processes) == []
