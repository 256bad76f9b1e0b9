#!/usr/bin/env python3
"""RCPT/s of a real Exim that asks: DEFERD_BIN=FOLDER of deferd, DEFERD_EXIM=PROGRAM, and the program
floor_server as argument.

SMTP sessions are kept and pipeline MAIL, RCPT, RSET; each MAIL (or each RCPT) asks as deploy/exim/ask.conf
does. Four Exims with one configuration but for the question: none, a bare server that answers "pass"
without looking, deferd, and Exim's own ratelimit. They take turns in one run, so what the machine
does beside it meets all alike; the ratio of each turn to the bare server's is what travels. Ends by
itself, leaves nothing.
"""

import base64
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

os.environ.setdefault("DEFERD_SOURCE", os.path.join(os.path.dirname(__file__), "../.."))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../e2e"))
from deferd_process import SOURCE, Deferd  # noqa: E402
from redis_server import free_port, until  # noqa: E402

EXIM = os.environ.get("DEFERD_EXIM", "/usr/sbin/exim4")
SHORT = os.environ.get("DEFERD_BENCH_SHORT")
ROUNDS = int(os.environ.get("ROUNDS", "1" if SHORT else "9"))
SESSIONS = 2
SECONDS = 0.1 if SHORT else 1.0  # a turn
BATCH = 40     # MAIL + RCPT + RSET in one piece

CONFIG = """
primary_hostname = mx.test.example
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
keep_environment =
smtp_accept_max = 0
smtp_accept_max_per_connection = 0
smtp_accept_max_nonmail = 1000000000
acl_smtp_mail = {mail}
acl_smtp_rcpt = {rcpt}
begin acl
ask:
{ask}
  accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = true
  server_advertise_condition = true
  server_set_id = $auth2
"""

RATELIMIT = """  warn
    ratelimit = 1000000 / 1h / per_{each} / strict / $authenticated_id
"""


class Exim:
    def __init__(self, ask, each):
        self.folder = tempfile.mkdtemp(prefix="eximbench")
        os.chmod(self.folder, 0o755)
        spool = os.path.join(self.folder, "spool")
        os.mkdir(spool)
        for folder in (self.folder, spool):
            shutil.chown(folder, "Debian-exim", "Debian-exim")
        self.port = free_port()
        config = os.path.join(self.folder, "exim.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(folder=self.folder, port=self.port, ask=ask,
                                     mail="ask" if each == "mail" else "accept",
                                     rcpt="ask" if each == "rcpt" else "accept"))
        self.process = subprocess.Popen([EXIM, "-C", config, "-bdf"], stderr=subprocess.DEVNULL)
        until(self.answers, "Exim listens")

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except OSError:
            return False

    def remove(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


class Client:
    """One SMTP session, logged in, that is kept."""

    def __init__(self, port, recipients):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")
        self.answers(1)
        self.socket.sendall(b"EHLO client.example\r\n")
        self.answers(1)
        secret = base64.b64encode(b"\0bob@site.example\0secret")
        self.socket.sendall(b"AUTH PLAIN " + secret + b"\r\n")
        self.answers(1, b"235")
        self.recipients = recipients * BATCH
        one = b"MAIL FROM:<bob@site.example>\r\n" + b"".join(
            b"RCPT TO:<r%d@far.example>\r\n" % i for i in range(recipients)) + b"RSET\r\n"
        self.batch = one * BATCH
        self.replies = (recipients + 2) * BATCH

    def answers(self, count, code=b"2"):
        while count > 0:
            line = self.file.readline()
            if not line.startswith(code):
                raise RuntimeError(f"Exim answered {line!r}")
            if line[3:4] != b"-":
                count -= 1

    def turn(self, end, done):
        while time.monotonic() < end:
            self.socket.sendall(self.batch)
            self.answers(self.replies)
            done.append(self.recipients)


def measure(port, recipients):
    clients = [Client(port, recipients) for _ in range(SESSIONS)]
    done = []
    begin = time.monotonic()
    threads = [threading.Thread(target=one.turn, args=(begin + SECONDS, done)) for one in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(done) / (time.monotonic() - begin)
    for one in clients:
        one.socket.close()
    return rate


def run(each, recipients, bare, deferd):
    with open(os.path.join(SOURCE, "deploy/exim/ask.conf"), encoding="utf-8") as file:
        ask = file.read()
    exims = {
        "no question": Exim("", each),
        "bare server": Exim(ask.replace("/run/deferd/exim.sock", bare), each),
        "deferd": Exim(ask.replace("/run/deferd/exim.sock", deferd.hook), each),
        "ratelimit": Exim(RATELIMIT.format(each=each), each),
    }
    try:
        rates = {name: [] for name in exims}
        for _ in range(ROUNDS):
            for name, exim in exims.items():
                rates[name].append(measure(exim.port, recipients))
        print(f"asked per {each.upper()}, {recipients} recipients a message:")
        for name, got in rates.items():
            ratio = statistics.median(a / b for a, b in zip(got, rates["bare server"]))
            print(f"  {name:12} {statistics.median(got):8.0f} RCPT/s  to bare {ratio:.2f}  "
                  f"({min(got):.0f}-{max(got):.0f})")
    finally:
        for exim in exims.values():
            exim.remove()


def main():
    folder = tempfile.mkdtemp(prefix="floor")
    os.chmod(folder, 0o755)
    bare = os.path.join(folder, "bare.sock")
    server = subprocess.Popen([sys.argv[1], bare], stdin=subprocess.PIPE)
    deferd = Deferd(logs=("mainlog",))
    try:
        until(lambda: os.path.exists(bare), "the bare server listens")
        os.chmod(bare, 0o666)
        os.chmod(deferd.folder, 0o755)
        os.chmod(deferd.hook, 0o666)
        deferd.wait_log("answers are checked")
        run("mail", 1, bare, deferd)
        run("mail", 10, bare, deferd)
        run("rcpt", 10, bare, deferd)
        print("questions that deferd answered:", deferd.json("status")["questions"]["answered"])
    finally:
        deferd.remove()
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
