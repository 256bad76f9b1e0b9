"""What answers deferctl may be another version, or no deferd at all: deferctl says so, and never dies of it."""

import json
import os
import socket
import tempfile
import threading
import unittest

from deferd_process import DEFERCTL, DeferdTest, run

VERBS = (
    ("status",), ("check", "a.example"), ("why", "a.example"), ("why", "--verify", "a.example"), ("blocks",),
    ("top",), ("track", "a.example"), ("stats",), ("incidents",), ("doctor",), ("policy", "show"), ("reload",),
    ("block", "a.example", "--for", "1h", "--reason", "x"), ("unblock", "a.example"), ("queue",),
)
ODD = (
    '{"error":7}', '{"ok":7}', '{"ok":true}', '{"ok":false}', '{"ok":false,"error":{}}', '{"ok":true,"error":[]}',
    '{"ok":true,"result":null}', '{"ok":true,"result":7}', '{"ok":true,"result":"x"}', '{"ok":true,"result":[]}',
    '{"ok":true,"result":[7,null,"x",[],{}]}', '{"ok":true,"result":{}}', '{"ok":true,"result":1e300}', '7', 'null',
    '[]', '"x"', '', 'no JSON', '{"ok":true,"result":' + '[' * 200_000 + ']' * 200_000 + '}', '[' * 1_000_000,
    '{"ok":true,"result":{"sources":7,"policy":7,"shared":7,"queue":7,"store":7,"lines":[],"listening":7}}',
)


class OddDaemon:
    """Answers every request by `answer`."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "admin.sock")
        self.answer = ""
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    while b"\n" not in connection.recv(1 << 16):
                        pass
                    connection.sendall(self.answer.encode() + b"\n")
                except OSError:
                    pass


def mutations(value):
    """`value` with each of its parts, one at a time, gone or of another type."""
    if isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            for other in (7, "x", None, [], {}, [7], 1e300):
                yield {**value, key: other}
            for inner in mutations(value[key]):
                yield {**value, key: inner}
    elif isinstance(value, list) and value:
        for inner in mutations(value[0]):
            yield [inner] + value[1:]
        yield [7, None, "x"]


class OddAnswers(DeferdTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="deferd-odd-")
        self.addCleanup(folder.cleanup)
        self.odd = OddDaemon(folder.name)
        self.addCleanup(self.odd.listener.close)

    def survives(self, *arguments):
        code, out, err = run(DEFERCTL, "--socket", self.odd.path, *arguments)
        self.assertIn(code, (0, 1), f"{arguments} of {self.odd.answer[:300]}: {code} {err}")
        if code:
            self.assertTrue(out or err, f"{arguments} of {self.odd.answer[:300]}: failed without a word")

    def test_odd_answers(self):
        for self.odd.answer in ODD:
            for verb in VERBS:
                self.survives(*verb)
            self.survives("--json", "status")

    def test_true_answers_with_a_part_that_is_odd(self):
        daemon = self.blocked()
        for verb in (("status",), ("why", "bad.example"), ("blocks",), ("doctor",), ("check", "bad.example")):
            answer = daemon.json(verb[0], *verb[1:]) if verb != ("doctor",) else daemon.json("status")
            every = list(mutations(answer))
            for part in every[::1 + len(every) // 150]:
                self.odd.answer = json.dumps({"ok": True, "result": part})
                self.survives(*verb)


if __name__ == "__main__":
    unittest.main()
