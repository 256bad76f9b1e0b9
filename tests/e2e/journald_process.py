"""A live systemd-journald of a test's own: a journal namespace, whose journal is in memory alone. Needs
root, as journald does."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import time

from deferd_process import LIMIT
from redis_server import until

JOURNALD = shutil.which("systemd-journald", path="/lib/systemd:/usr/lib/systemd")
MACHINE_ID = "/etc/machine-id"  # systemd's package makes it
RUNS = JOURNALD and os.getuid() == 0 and os.path.exists(MACHINE_ID)


class Journald:
    def __init__(self):
        self.name = f"deferd-test-{os.getpid()}"
        self.door = f"/run/systemd/journal.{self.name}"
        self.config = f"/run/systemd/journald@{self.name}.conf.d"
        os.makedirs(self.config)
        with open(os.path.join(self.config, "test.conf"), "w", encoding="utf-8") as file:
            file.write("[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n")
        with open(MACHINE_ID, encoding="ascii") as file:
            self.folder = f"/run/log/journal/{file.read().strip()}.{self.name}"
        self.start()

    def start(self):
        self.process = subprocess.Popen([JOURNALD, self.name], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        until(self.connects, "journald listens")

    def connects(self):
        assert self.process.poll() is None, "journald did not start"
        try:
            self.log.connect(os.path.join(self.door, "dev-log"))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def write(self, identifier, text):
        """As syslog(3) does with facility mail."""
        when = time.strftime("%b %e %H:%M:%S")
        self.log.send(f"<22>{when} {identifier}[7]: {text}".encode(errors="surrogateescape"))

    def rotate(self):
        before = self.archived()
        self.process.send_signal(signal.SIGUSR2)
        until(lambda: self.archived() - before, "journald has a new file")

    def archived(self):
        return set(glob.glob(os.path.join(self.folder, "system@*.journal")))

    def stop(self):
        self.log.close()
        self.process.terminate()
        self.process.wait(LIMIT)

    def remove(self):
        self.stop()
        for folder in (self.door, self.config, self.folder):
            shutil.rmtree(folder, ignore_errors=True)
