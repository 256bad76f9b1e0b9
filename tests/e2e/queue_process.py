"""The root helper of a test's own: deferd-queue at a socket in the daemon's folder."""

import json
import os
import re
import socket
import subprocess

from deferd_process import BIN, LIMIT, SOURCE
from redis_server import until


def as_the_unit_runs_it(unit):
    """setpriv(1), which leaves a program the capabilities that this unit of deploy/systemd leaves it."""
    if os.geteuid() != 0:
        return []
    with open(os.path.join(SOURCE, "deploy/systemd", unit), encoding="utf-8") as file:
        left = re.search(r"^CapabilityBoundingSet=(.*)$", file.read(), re.M)[1].split()
    kept = ",".join(["-all", *("+" + name.removeprefix("CAP_").lower() for name in left)])
    return ["setpriv", "--bounding-set", kept, "--inh-caps", kept]


class QueueHelper:
    """`options` name the mail server, as on the helper's command line."""

    def __init__(self, folder, *options):
        self.socket = os.path.join(folder, "queue.sock")
        self.arguments = [os.path.join(BIN, "deferd-queue"), "--socket", self.socket, "--user", "root",
                          *options]
        self.start()

    def start(self, *more):
        self.process = subprocess.Popen(
            [*as_the_unit_runs_it("deferd-queue.service"), *self.arguments, *more],
            stderr=subprocess.DEVNULL)
        until(lambda: os.path.exists(self.socket), "deferd-queue listens")

    def ask(self, verb, **arguments):
        """The helper's own answer, as deferd would get it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(LIMIT)
            client.connect(self.socket)
            client.sendall(json.dumps({"verb": verb, "args": arguments}).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n") and (piece := client.recv(65536)):
                answer += piece
        return json.loads(answer)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(LIMIT)
