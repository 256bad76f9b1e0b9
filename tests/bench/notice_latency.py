#!/usr/bin/env python3
"""Questions while notices of 10,000 blocks are made and delivered: DEFERD_BIN=FOLDER of deferd.

One kept connection asks one question after the other; the figures are the client's own (Python, so
tens of microseconds are its floor). The same log is read without a sink, with a web server that takes
what it is sent, and with one that hangs: while the blocks are made, and while the notices of them go
out. Ends by itself, leaves nothing.
"""

import os
import socket
import sys
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("DEFERD_SOURCE", SOURCE)
sys.path.insert(0, os.path.join(SOURCE, "tests", "e2e"))

from deferd_process import Deferd, message  # noqa: E402
from notice_sinks import Webhook  # noqa: E402

SHORT = os.environ.get("DEFERD_BENCH_SHORT")
DOMAINS = 200 if SHORT else 10_000
QUESTION = b"check\tlogin=u@quiet.example\tsource=submission\n"


def ask(client, seconds, until=lambda: False):
    """(questions, median, p99, longest) in microseconds."""
    took, end, look = [], time.monotonic() + seconds, 0.0
    while time.monotonic() < end:
        for _ in range(500):
            begin = time.perf_counter_ns()
            client.sendall(QUESTION)
            client.recv(4096)
            took.append(time.perf_counter_ns() - begin)
        if time.monotonic() > look:
            if until():
                break
            look = time.monotonic() + 1
    took.sort()
    return [len(took)] + [took[at] / 1000 for at in (len(took) // 2, len(took) * 99 // 100, -1)]


def one(name, hook):
    config = "" if hook is None else f"""
[notice.hook]
type = "webhook"
url = "{hook.url}"
allow_private = true
batch = "1s"
timeout = "5s"
on = ["blocked"]
"""
    daemon = Deferd(config=config)
    try:
        daemon.wait_log("answers are checked")
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(daemon.hook)
        rows = [(f"{name}, quiet", ask(client, 0.2 if SHORT else 5))]
        lines = "".join(message("failed", f"u@d{n}.example") for n in range(DOMAINS) for _ in range(5))

        def metric(text):
            at = daemon.http("/metrics")[1].partition(f"\n{text} ")[2]
            return float(at.split("\n", 1)[0] or 0)

        begin = time.monotonic()
        daemon.append(lines)
        rows.append((f"{name}, blocks are made",
                     ask(client, 120, lambda: metric('deferd_cases_open{mode="enforce"}') >= DOMAINS)))
        print(f"{name}: {DOMAINS} blocks after {time.monotonic() - begin:.1f} s", flush=True)
        rows.append((f"{name}, after them", ask(client, 0.2 if SHORT else 15)))
        print(f"{name}: {daemon.json('status').get('notices')}, "
              f"{sum(len(body) for _, body in hook.requests) if hook else 0} bytes of notices", flush=True)
        return rows
    finally:
        daemon.remove()


def main():
    rows = one("no sink", None)
    for name, hangs in (("a web server", False), ("one that hangs", True)):
        hook = Webhook()
        if hangs:
            hook.hangs.set()
        try:
            rows += one(name, hook)
        finally:
            hook.close()
    quiet = rows[0][1][2]
    for name, (asked, median, p99, longest) in rows:
        print(f"{name:32} {asked:8} questions, median {median:7.1f} us, p99 {p99:8.1f} us "
              f"({p99 / quiet:.2f} of quiet), longest {longest / 1000:.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
