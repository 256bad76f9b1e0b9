"""Thousands of connections that others hold open: honest questions and people are answered all the same."""

import os
import resource
import socket
import subprocess
import sys
import time
import unittest

from deferd_process import ASK, DeferdTest

HELD = 4200  # more than a listener takes

# Holds connections to an address until its input ends; some dribble bytes that never become a question.
HOLDER = """
import os, socket, sys
kind, where, count, uid = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if uid: os.setresuid(uid, uid, uid)
held = []
for i in range(count):
    one = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
    try:
        one.connect(where if kind == "unix" else ("127.0.0.1", int(where)))
        one.sendall(b"check" if i % 2 else b"")
    except OSError:
        pass
    held.append(one)
print("held", flush=True)
sys.stdin.read()
"""


def ask(kind, where):
    """One question: the answer, and the seconds until it came."""
    begin = time.monotonic()
    with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as one:
        one.settimeout(10)
        one.connect(where if kind == "unix" else ("127.0.0.1", int(where)))
        one.sendall(ASK.encode() + b"\n")
        one.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := one.recv(4096):
                answer += piece
        except ConnectionResetError:
            pass
    return answer.decode(), time.monotonic() - begin


class Crowd(DeferdTest):
    def hold(self, kind, where, count, uid=0):
        holder = subprocess.Popen([sys.executable, "-c", HOLDER, kind, where, str(count), str(uid)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stdin.close)
        self.addCleanup(holder.stdout.close)
        self.assertEqual(holder.stdout.readline(), "held\n")

    def setUp(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if most < HELD + 500:
            self.skipTest("too few file descriptors may be open here")

    def answered(self, kind, where):
        took = []
        for _ in range(200):
            answer, seconds = ask(kind, where)
            self.assertTrue(answer.startswith("reject "), repr(answer))
            took.append(seconds)
        self.assertLess(sorted(took)[len(took) // 2], 0.1, "the median")

    def test_questions_over_tcp(self):
        daemon = self.deferd(hook='postfix = "127.0.0.1:0"')
        port = daemon.json("status")["listening"]["postfix"].rpartition(":")[2]
        self.hold("tcp", port, HELD)
        request = b"request=smtpd_access_policy\nsender=a@b.example\n\n"
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as one:
                one.sendall(request)
                self.assertEqual(one.recv(100), b"action=DUNNO\n\n")
        self.assertIn("is a TCP port", daemon.ctl("doctor")[1])
        self.assertIn("closing idle ones to make room", "".join(daemon.lines))

    def test_questions_over_a_unix_socket_and_people(self):
        daemon = self.deferd()
        daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")
        user = 65534 if os.getuid() == 0 else 0
        if user:
            os.chmod(daemon.folder, 0o755)
            os.chmod(daemon.admin, 0o666)
        self.hold("unix", daemon.hook, HELD, user)
        self.answered("unix", daemon.hook)
        self.hold("unix", daemon.admin, 64, user)
        if user:
            code, out, err = daemon.ctl("status")
            self.assertEqual(code, 0, err)


if __name__ == "__main__":
    unittest.main()
