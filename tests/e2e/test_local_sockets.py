"""Hostile local users at deferd-queue's socket and at deferd's admin socket, and a deferd-queue that crashes."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import unittest

from deferd_process import LIMIT, DeferdTest
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

    def test_the_admin_socket_withstands_hostile_requests(self):
        daemon = self.deferd()
        held = self.attack(daemon.admin, daemon.process,
                           lambda: self.assertEqual(daemon.json("blocks"), []))
        self.assertEqual(daemon.stop(), 0)
        for client in held:
            client.close()


if __name__ == "__main__":
    unittest.main()
