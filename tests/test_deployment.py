"""docker-compose.yml is valid for Compose itself, and has no secret of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECRETS = ["POSTGRES_PASSWORD", "TOLLBOOK_FERNET_KEY", "TOLLBOOK_SECRET_KEY", "TOLLBOOK_JWT_SECRET", "TOLLBOOK_WORKSPACE"]


def compose(repo, **given):
    command = [str(Path(sys.executable).parent / "docker-compose"), "-f", str(repo / "docker-compose.yml"), "config", "-q"]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} | given
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_compose_accepts_the_file(repo):
    done = compose(repo, **dict.fromkeys(SECRETS, "./x"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("missing", SECRETS)
def test_nothing_secret_has_a_default(repo, missing):
    done = compose(repo, **{name: "./x" for name in SECRETS if name != missing})
    # this build of Compose says it on standard error and still ends with 0
    assert f"required variable {missing} is missing" in done.stderr
