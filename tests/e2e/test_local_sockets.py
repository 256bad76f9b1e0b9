"""Hostile local users at deferd-queue's socket and at deferd's admin socket, and a deferd-queue that crashes."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import tempfile
import unittest

from deferd_process import ASK, BIN, DEFERCTL, LIMIT, DeferdTest, message, run
from queue_process import QueueHelper
from redis_server import until

NESTED = b'{"verb":"list","args":' + b"[" * 200_000
KEYS = b'{"verb":"list","args":{' + b",".join(b'"k%d":0' % i for i in range(420_000)) + b"}}\n"
# What a user of the machine does who has nothing to say here: the answer until the connection's end.
STRANGER = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(60)
client.connect(sys.argv[1])
try:
    client.sendall(b'{"verb":"list","args":{}}\\n')
    sys.stdout.buffer.write(client.recv(1000))
except (BrokenPipeError, ConnectionResetError):
    pass
"""

# One request to deferd-queue and its whole answer.
ASKS = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(60)
client.connect(sys.argv[1])
client.sendall(sys.argv[2].encode() + b"\\n")
while piece := client.recv(65536):
    sys.stdout.buffer.write(piece)
"""


def memory(process):
    """MiB that it has at most used."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def send(path, data):
    """What comes back of `data`, which may be cut off, up to a first line."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(LIMIT)
        client.connect(path)
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while not answer.endswith(b"\n") and (piece := client.recv(65536)):
                answer += piece
        except ConnectionResetError:
            pass
    return answer


def flood(path, line):
    """Sends lines and never reads an answer until it is stopped; the connection."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(1)
    client.connect(path)
    try:
        for _ in range(1000):
            client.sendall(line * (16_384 // len(line)))
    except (TimeoutError, BrokenPipeError, ConnectionResetError):
        pass
    return client


class Sockets(DeferdTest):
    def helper(self, *options):
        folder = tempfile.mkdtemp(prefix="deferd-queue-")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        # A Postfix with an empty queue. postmap(1) in small: "hash:PATH", whose .db is a copy; -s shows
        # what is in it.
        postmap = ('[ "$1" = -s ] && exec sed /^#/d "${2#hash:}.db"\nexec cp "${1#hash:}" "${1#hash:}.db"')
        for name, text in (("postmap", postmap), ("postsuper", ""), ("postqueue", ""),
                           ("postconf", "echo mx.test.example")):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="ascii") as file:
                file.write(f"#!/bin/sh\n{text}\n")
            os.chmod(path, stat.S_IRWXU)
        self.table = os.path.join(folder, "senders.db")
        helper = QueueHelper(folder, "--exim", "/bin/true", "--postfix", folder,
                             "--sender-table", os.path.join(folder, "senders"), *options)
        self.addCleanup(helper.stop)
        return helper

    def senders(self):
        with open(self.table, encoding="ascii") as file:
            return [line.split()[0] for line in file if not line.startswith("#")]

    def attack(self, path, process, honest):
        for request in (NESTED, NESTED + b"\n", KEYS, b"{" * 3_000_000, b"\n" * 3_000_000):
            answer = send(path, request)
            if answer:  # else it was cut off
                self.assertFalse(json.loads(answer.split(b"\n")[0])["ok"], request[:30])
            honest()
        held = [flood(path, line) for line in (b"\n", b'{"verb":"status"}\n', b'{"verb":"list"}\n') for _ in (1, 2)]
        honest()
        self.assertLess(memory(process), 150)
        return held

    def test_deferd_queue_withstands_hostile_requests(self):
        helper = self.helper()
        held = self.attack(helper.socket, helper.process,
                           lambda: self.assertEqual(helper.ask("list")["result"], []))
        self.assertEqual(send(helper.socket, b'{"verb":"list"}\n{"verb":"list"}\n').count(b"\n"), 1,
                         "one request a connection")
        helper.process.terminate()
        self.assertEqual(helper.process.wait(LIMIT), 0, "SIGTERM is honoured meanwhile")
        for client in held:
            client.close()

    @unittest.skipIf(os.getuid() != 0, "takes root to be somebody else")
    def test_a_stranger_is_turned_away_unread(self):
        helper = self.helper()
        os.chmod(helper.socket, 0o666)  # as if the folder's and the socket's modes were wrong
        done = subprocess.run(["/usr/bin/python3", "-c", STRANGER, helper.socket], user=65534, group=65534,
                              capture_output=True, timeout=LIMIT, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
        self.assertEqual(helper.ask("list")["result"], [])

    def test_a_crash_keeps_the_sender_table_and_a_stop_empties_it(self):
        helper = self.helper()
        self.assertEqual(self.senders(), [])
        self.assertTrue(helper.ask("defer", domains={"bad.example": "why"}, users={"web": "why"})["ok"])
        self.assertEqual(self.senders(), ["@bad.example", "web", "web@mx.test.example"])
        helper.process.send_signal(signal.SIGSEGV)
        helper.process.wait(LIMIT)
        after = [*helper.arguments, "--empty-sender-table"]  # ExecStopPost
        for result in ("signal", "core-dump", "exit-code"):
            subprocess.run(after, env={**os.environ, "SERVICE_RESULT": result}, timeout=LIMIT, check=True)
            self.assertEqual(self.senders(), ["@bad.example", "web", "web@mx.test.example"], result)
        os.unlink(helper.socket)
        helper.start()
        self.assertEqual(self.senders(), ["@bad.example", "web", "web@mx.test.example"], "until deferd says otherwise")
        self.assertTrue(helper.ask("put_off", domains={"worse.example": "why"})["ok"])
        self.assertEqual(self.senders(), ["@worse.example"])
        os.unlink(self.table)
        until(lambda: os.path.exists(self.table), "it is made again though nobody says so")
        self.assertEqual(self.senders(), ["@worse.example"])
        helper.stop()
        self.assertEqual(self.senders(), [])

    def test_what_nobody_has_confirmed_for_long_goes_after_a_crash(self):
        helper = self.helper()
        self.assertTrue(helper.ask("defer", domains={"bad.example": "why"})["ok"])
        helper.process.kill()
        helper.process.wait(LIMIT)
        said = self.table.removesuffix(".db") + ".said"
        os.utime(said, (os.stat(said).st_mtime - 700,) * 2)
        subprocess.run([*helper.arguments, "--empty-sender-table"],
                       env={**os.environ, "SERVICE_RESULT": "signal"}, timeout=LIMIT, check=True)
        self.assertEqual(self.senders(), [])

    @unittest.skipIf(os.getuid() != 0, "takes root to be somebody else")
    def test_what_a_deferd_that_was_taken_over_can_make_root_do(self):
        folder = tempfile.mkdtemp(prefix="deferd-queue-")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        # An Exim that writes down all that it was given.
        seen = os.path.join(folder, "seen")
        exim = os.path.join(folder, "exim4")
        with open(exim, "w", encoding="ascii") as file:
            file.write(f"""#!/bin/sh
{{ printf '%s\\n' "$0 $*"; echo $(readlink /proc/$$/fd/*); pwd; umask; ulimit -c; env; }} >>{seen}
""")
        os.chmod(exim, stat.S_IRWXU)
        path = os.path.join(folder, "queue.sock")
        leaked = os.open("/etc/shadow" if os.geteuid() == 0 else "/etc/passwd", os.O_RDONLY)
        self.addCleanup(os.close, leaked)
        helper = subprocess.Popen(
            [os.path.join(BIN, "deferd-queue"), "--socket", path, "--user", "daemon", "--exim", exim,
             "--postfix", "/nonexistent", "--sender-table", os.path.join(folder, "senders"),
             "--allow-discard", "--allow-redirect"],
            stderr=subprocess.DEVNULL, pass_fds=[leaked], cwd="/tmp",
            env={**os.environ, "LD_BIND_NOW": "1", "EVIL": "yes", "TZ": "Asia/Tokyo"})
        self.addCleanup(helper.wait, LIMIT)
        self.addCleanup(helper.terminate)
        until(lambda: os.path.exists(path), "deferd-queue listens")

        def ask(verb, **args):
            """As daemon, who is deferd here: a user whom every machine has, with a group of that name."""
            request = json.dumps({"verb": verb, "args": args})
            done = subprocess.run(["/usr/bin/python3", "-c", ASKS, path, request], user="daemon",
                                  group=pwd.getpwnam("daemon").pw_gid, extra_groups=[],
                                  capture_output=True, text=True, timeout=LIMIT, check=True)
            return json.loads(done.stdout)

        ident = "1xU000-000001-11"
        for verb, args in (
                ("discard", {"ids": [ident]}), ("redirect", {"id": ident, "address": "a@b.example"}),
                ("hold", {"ids": ["-Mrm"]}), ("hold", {"ids": [ident, f"{ident} -be"]}),
                ("hold", {"ids": ["../../etc/passwd"]}), ("hold", {"ids": [f"{ident}\n"]}),
                ("hold", {"ids": [ident] * 1001}), ("hold", {"ids": []}), ("requeue", {"id": "$(id)"}),
                ("requeue", {"id": "-C/tmp/x"}), ("release", {"ids": ["A37C8A722D8"]}), ("exec", {"ids": [ident]}),
                ("give_back", {"ids": ["ALL"]}), ("", {})):
            answer = ask(verb, **args)
            self.assertFalse(answer["ok"], (verb, args))
        self.assertFalse(os.path.exists(seen), "nothing was run for what was refused")
        self.assertTrue(ask("hold", ids=[ident])["ok"])
        with open(seen, encoding="ascii") as file:
            lines = file.read().splitlines()
        self.assertEqual(lines[0], f"{exim} -MG deferd-held {ident}")
        for other in ("/etc/", "socket:", "anon_inode:"):
            self.assertNotIn(other, lines[1], "a descriptor of deferd-queue or of who started it")
        self.assertEqual(lines[2:5], ["/", "0022", "0"])
        names = {line.split("=")[0] for line in lines[5:] if "=" in line}
        self.assertEqual(names - {"PWD", "OLDPWD", "SHLVL", "_"}, {"PATH", "LC_ALL", "TZ"})

    def test_the_admin_socket_withstands_hostile_requests(self):
        daemon = self.deferd()
        held = self.attack(daemon.admin, daemon.process,
                           lambda: self.assertEqual(daemon.json("blocks"), []))
        self.assertEqual(daemon.stop(), 0)
        for client in held:
            client.close()

    def test_the_readers_socket_shows_everything_and_changes_nothing(self):
        daemon = self.blocked(admin='readers = "{folder}/readers.sock"')
        readers = daemon.path("readers.sock")
        self.assertEqual(stat.S_IMODE(os.stat(readers).st_mode), 0o660)
        before = daemon.json("blocks")

        def desk(*arguments):
            return run(DEFERCTL, "--socket", readers, *arguments)

        for verb in (["status"], ["check", "bad.example"], ["why", "bad.example", "--all"],
                     ["why", "bad.example", "--verify"], ["blocks", "--all"], ["top"], ["incidents"],
                     ["track", "bad.example"], ["stats"], ["policy", "show"]):
            for way in ([], ["--json"]):
                status, out, err = desk(*verb, *way)
                self.assertEqual((status, err), (0, ""), verb)
                self.assertTrue(out, verb)
        record = daemon.write("record.json", '{"id": "a-1", "recipient": "a@far.example", '
                              '"outcome": "failed", "sender": "bob@bad.example"}\n')
        for verb in (["unblock", "bad.example"], ["block", "x.example", "--for", "1h", "--reason", "x"],
                     ["reload"], ["record", record], ["queue", "release", "bad.example"], ["queue", "flush"]):
            status, out, err = desk(*verb)
            self.assertEqual((status, out), (1, ""), verb)
            self.assertIn("this socket ([admin] readers) only shows", err, verb)
        self.assertEqual(daemon.json("blocks"), before)
        held = self.attack(readers, daemon.process,
                           lambda: self.assertEqual(daemon.json("blocks"), before))
        for client in held:
            client.close()
        self.assertEqual(daemon.stop(), 0)

    def test_the_heartbeat_goes_on_while_deferd_waits_for_its_disk(self):
        folder = tempfile.mkdtemp(prefix="deferd-beat-")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        daemon = self.deferd(folder=folder, env={"WATCHDOG_USEC": "300000"}, wait=False)
        daemon.wait_log("answers are checked")
        # A second program that holds the database's lock is a disk that does not answer.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, \
                contextlib.closing(sqlite3.connect(daemon.path("state/state.db"), timeout=LIMIT)) as disk:
            os.unlink(daemon.path("notify.sock"))
            manager.bind(daemon.path("notify.sock"))
            manager.settimeout(LIMIT)
            disk.execute("BEGIN IMMEDIATE")
            daemon.append("".join(message("failed") for _ in range(5)))
            for _ in range(10):
                self.assertEqual(manager.recv(4096), b"WATCHDOG=1")
            self.assertIn(daemon.ask(ASK).split()[0], ("pass", "reject"))
            disk.rollback()
            until(lambda: daemon.ask(ASK).startswith("reject"), "the block after the disk's return")


if __name__ == "__main__":
    unittest.main()
