#!/usr/bin/env python3
"""From an attempt in one node's log to the block answered by another: DEFERD_BIN=FOLDER of deferd.

Two daemons, one Redis, all quiet. Each time a domain's third, fourth and fifth failure are written
into the first one's log, and the second one's socket is asked until it says reject; the first two
stand in the second one's own log. Then what questions take, with Redis and while it is stopped.
"""

import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
os.environ.setdefault("DEFERD_SOURCE", ".")
from deferd_process import Deferd, message  # noqa: E402
from redis_server import Redis, until  # noqa: E402

ROUNDS = 3 if os.environ.get("DEFERD_BENCH_SHORT") else 200


class Asker:
    """One kept connection."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)

    def ask(self, domain):
        self.socket.sendall(f"check {domain}\n".encode())
        return self.socket.recv(4096).decode()


def figures(name, seconds):
    seconds.sort()
    at = lambda share: seconds[min(len(seconds) - 1, int(share * len(seconds)))] * 1000
    print(f"{name}: median {at(0.5):.2f} ms, p99 {at(0.99):.2f} ms, most {at(1):.2f} ms")


def main():
    redis = Redis()
    config = f'[shared]\nredis = "{redis.url}"\n[ledger]\nkeep = "off"\n'
    one, two = Deferd(config), Deferd(config)
    try:
        for daemon in (one, two):
            daemon.wait_log("answers are checked")
        asker = Asker(two.hook)
        took = []
        for n in range(ROUNDS):
            domain = f"d{n}.example"
            two.append("".join(message("failed", f"bob@{domain}") for _ in range(2)))
            until(lambda d=domain: redis.cli("EXISTS", f"deferd1:w:{{{d}}}:3600").startswith("1"),
                  "the other node's part is there")
            text = "".join(message("failed", f"bob@{domain}") for _ in range(3))
            begin = time.perf_counter()
            one.append(text)
            while not asker.ask(domain).startswith("reject"):
                pass
            took.append(time.perf_counter() - begin)
        figures("one log to the other's answer", took)
        for name in ("questions, Redis there", "questions, Redis stopped"):
            took = []
            for _ in range(20_000):
                begin = time.perf_counter()
                asker.ask("good.example")
                took.append(time.perf_counter() - begin)
            figures(name, took)
            redis.pause()
            one.append(message("failed", "bob@other.example"))
    finally:
        redis.resume()
        one.remove()
        two.remove()
        redis.remove()


if __name__ == "__main__":
    main()
