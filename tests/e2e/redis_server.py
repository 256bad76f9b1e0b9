"""A redis-server of a test's own, on a unix socket or a free port."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

LIMIT = 60


def free_port():
    """A port that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, what, limit=LIMIT):
    """Waits until `condition` holds; its value."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"in vain: {what}")
        time.sleep(0.01)


class Redis:
    """One server. `port` 0: a unix socket alone. `program`: redis-sentinel for a sentinel."""

    def __init__(self, *arguments, port=0, program="redis-server", config=None):
        self.folder = tempfile.mkdtemp(prefix="deferd-redis-")
        self.port = port
        self.socket = os.path.join(self.folder, "redis.sock")
        self.command = [program]
        if config is not None:
            path = os.path.join(self.folder, "redis.conf")
            with open(path, "w", encoding="utf-8") as file:
                file.write(config)
            self.command.append(path)
        self.command += ["--port", str(port), "--dir", self.folder, "--daemonize", "no"]
        if program == "redis-server":
            self.command += ["--unixsocket", self.socket, "--save", "", "--appendonly", "no"]
        self.command += arguments
        self.process = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}" if self.port else f"redis+unix://{self.socket}"

    def start(self):
        log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        log.close()
        until(lambda: self.cli("PING").startswith(("PONG", "NOAUTH", "LOADING")),
              "redis-server answers")

    def cli(self, *arguments):
        """What redis-cli prints."""
        where = ["-p", str(self.port)] if self.port else ["-s", self.socket]
        done = subprocess.run(["redis-cli", *where, *arguments], capture_output=True, text=True,
                              errors="replace", timeout=LIMIT, check=False)
        return done.stdout + done.stderr

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait(LIMIT)

    def remove(self):
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder)
