"""A deferd of a test's own: its folder, its doors, its log. No fixed port, no sleeping.

Waiting is for something that happens: READY=1 on a notify socket of the test, or a line of the
daemon's log.
"""

import fcntl
import json
import os
import pty
import queue
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time
import unittest

BIN = os.environ["DEFERD_BIN"]
SOURCE = os.environ["DEFERD_SOURCE"]
DEFERD = os.path.join(BIN, "deferd")
DEFERCTL = os.path.join(BIN, "deferctl")
LIMIT = 60  # seconds that anything may take before a test gives up

POLICY = """
[rule.few]
min_bad = 5
percent = 50
action = { submission = "reject", local = "hold", queued = "hold", relay = "hold" }
"""

# bob's question, as Exim asks it.
ASK = "check\tsource=submission\tsender=bob@bad.example\tlogin=bob@bad.example\thost=192.0.2.1"


def run(*arguments, stdin=None, env=None):
    """Runs a program to its end: (exit status, stdout, stderr)."""
    done = subprocess.run(arguments, input=stdin, capture_output=True, text=True, timeout=LIMIT,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout, done.stderr


def stamp(seconds_ago=0):
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - seconds_ago))


class Deferd:
    """One daemon. `config` is added to deferd.toml, `intake`, `hook` and `admin` to those tables of it
    ("{folder}" is the daemon's in all of them), `policy` is the policy file's text; `env` is added to
    its environment; `files` are written into its folder first."""

    def __init__(self, config="", policy=POLICY, logs=("mainlog",), folder=None, wait=True,
                 intake="", hook="", admin="", env=None, files=None):
        self.folder = folder or tempfile.mkdtemp(prefix="deferd-e2e-")
        self.own_folder = folder is None
        os.chmod(self.folder, 0o755)
        for name, text in (files or {}).items():
            self.write(name, text)
        self.policy_path = self.path("policy.toml")
        self.write("policy.toml", policy)
        self.log_path = self.path("mainlog")
        if "mainlog" in logs and not os.path.exists(self.log_path):
            self.write("mainlog", "")
        self.hook = self.path("exim.sock")
        self.admin = self.path("admin.sock")
        paths = ", ".join(f'"{self.path(log)}"' for log in logs)
        self.config_path = self.write("deferd.toml", f"""
state_dir = "{self.path('state')}"
policy = "{self.policy_path}"
[intake]
exim = [{paths}]
{intake.format(folder=self.folder)}
[hook]
exim = "unix:{self.hook}"
{hook.format(folder=self.folder)}
mode = "0666"
[admin]
socket = "{self.admin}"
{admin.format(folder=self.folder)}
[http]
listen = "127.0.0.1:0"
{config.replace("{folder}", self.folder)}
""")
        self.lines = []
        self.arguments = []
        self.user = None  # that it runs as
        self.env = env or {}
        self.process = None
        self.start(wait)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, wait=True):
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify_path = self.path("notify.sock")
        if os.path.exists(notify_path):
            os.unlink(notify_path)
        notify.bind(notify_path)
        notify.settimeout(LIMIT)
        self.process = subprocess.Popen(
            [DEFERD, "--config", self.config_path, *self.arguments], stderr=subprocess.PIPE, text=True,
            errors="replace", user=self.user, env={**os.environ, **self.env, "NOTIFY_SOCKET": notify_path})
        self.queue = queue.Queue()
        self.reader = threading.Thread(target=self._read, args=(self.process, self.queue))
        self.reader.start()
        if wait:
            message = notify.recv(4096).decode()
            assert "READY=1" in message, message
        notify.close()

    def _read(self, process, lines):
        for line in process.stderr:
            self.lines.append(line)
            lines.put(line)
        lines.put(None)

    def wait_log(self, text):
        """The next log line that holds `text`."""
        end = time.monotonic() + LIMIT
        while True:
            line = self.queue.get(timeout=max(0.1, end - time.monotonic()))
            if line is None:
                raise AssertionError(f"deferd ended before it said {text!r}:\n{''.join(self.lines)}")
            if text in line:
                return line

    def append(self, text):
        with open(self.log_path, "a", encoding="utf-8", errors="surrogateescape") as log:
            log.write(text)

    def ctl(self, *arguments):
        return run(DEFERCTL, "--socket", self.admin, *arguments)

    def terminal(self, *arguments, columns=80):
        """What a person sees: (exit status, text). Without colours."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        with subprocess.Popen([DEFERCTL, "--socket", self.admin, *arguments], stdout=theirs,
                              stderr=theirs, env={**os.environ, "NO_COLOR": "1"}) as process:
            os.close(theirs)
            out = b""
            while True:
                try:
                    more = os.read(ours, 65536)
                except OSError:  # nobody has the other end any more
                    break
                if not more:
                    break
                out += more
            os.close(ours)
        return process.returncode, out.decode().replace("\r\n", "\n")

    def json(self, *arguments):
        status, out, err = self.ctl("--json", *arguments)
        assert status == 0, err
        return json.loads(out)

    def ask(self, line):
        """One question as Exim's readsocket asks it: send, half-close, read to the end."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(LIMIT)
            client.connect(self.hook)
            client.sendall(line.encode() + b"\n")
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := client.recv(4096):
                answer += piece
        return answer.decode().rstrip("\n")

    def http(self, path):
        """(status code, body)"""
        host, port = self.json("status")["listening"]["http"].rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=LIMIT) as client:
            client.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def hangup(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(LIMIT)
        self.reader.join(LIMIT)
        self.process.stderr.close()
        return status

    def remove(self):
        if self.process.poll() is None:
            self.process.kill()
        self.stop()
        if self.own_folder:
            shutil.rmtree(self.folder)


class DeferdTest(unittest.TestCase):
    """Starts daemons that are gone, folder and all, when the test ends."""

    def deferd(self, *arguments, **options):
        daemon = Deferd(*arguments, **options)
        self.addCleanup(daemon.remove)
        return daemon

    def blocked(self, **options):
        """One that has blocked bad.example, by five failures of bob."""
        daemon = self.deferd(**options)
        daemon.wait_log("answers are checked")
        daemon.append("".join(message("failed") for _ in range(5)))
        daemon.wait_log("BLOCKED")
        return daemon


_number = 0


def message_id():
    global _number
    _number += 1
    return f"1xU{_number // 1000000:03d}-{_number % 1000000:06d}-{_number % 100:02d}"


def message(outcome, login="bob@bad.example", when=None, recipient=None):
    """The log lines of one message of a login, to one recipient."""
    when = when or stamp()
    name = message_id()
    recipient = recipient or f"r{name.lower()}@far.example"
    lines = [f"{when} {name} <= {login} H=(pc) [192.0.2.1] P=esmtpsa A=plain:{login} S=300"]
    host = "R=dnslookup T=remote_smtp"
    if outcome == "delivered":
        lines.append(f'{when} {name} => {recipient} {host} H=mx [198.51.100.1] C="250 OK"')
    elif outcome == "failed":
        lines.append(f"{when} {name} ** {recipient} {host} H=mx [198.51.100.1]: SMTP error from "
                     f"remote mail server after RCPT TO:<{recipient}>: 550 5.1.1 User unknown")
    else:
        lines.append(f"{when} {name} == {recipient} {host} defer (-44) H=mx [198.51.100.1]: SMTP "
                     f"error from remote mail server after RCPT TO:<{recipient}>: 450 4.1.1 User unknown")
        return "\n".join(lines) + "\n"
    lines.append(f"{when} {name} Completed")
    return "\n".join(lines) + "\n"
