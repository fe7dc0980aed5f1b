"""Servers of tests: Debian's programs on this machine, small HTTP servers on loopback, and waiting for them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tenacity

#: Servers of Debian are where a user's PATH does not look.
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def need(packages: dict[str, str]) -> None:
    """Skip where a program (name to Debian package) is absent, saying which package has it."""
    absent = {name: package for name, package in packages.items() if shutil.which(name, path=PATH) is None}
    if absent:
        install = " ".join(dict.fromkeys(absent.values()))
        pytest.skip(f"no {', '.join(absent)} here: apt-get install -y --no-install-recommends {install}")


def wait_until(what: str, ask: Callable, seconds: float = 60, logs: tuple[Path, ...] = ()):
    """What ``ask`` answers once that is true.

    When the time is up, the test fails with what it waited for, the last answer and the ends of the logs.
    """

    def fail(state: tenacity.RetryCallState):
        ends = "".join(f"\n{log}:\n{log.read_text(errors='replace')[-2000:] if log.exists() else '(absent)'}" for log in logs)
        pytest.fail(f"waited {seconds:g} s for {what}; the last answer was {state.outcome.result()!r}{ends}")

    return tenacity.Retrying(
        wait=tenacity.wait_fixed(0.05),
        stop=tenacity.stop_after_delay(seconds),
        retry=tenacity.retry_if_result(lambda answer: not answer),
        retry_error_callback=fail,
    )(ask)


def stop(process: subprocess.Popen, seconds: float = 20) -> None:
    """End a server that a test started; the hard way if it does not go by itself in time."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(seconds)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Answering(BaseHTTPRequestHandler):
    """A handler that answers in one piece, logs nothing, and bears that the client has gone."""

    def say(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        content = body.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing."""

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


class Server:
    """An HTTP server on loopback that runs until ``stop``."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0):
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
