#!/usr/bin/env python3
"""The console, /metrics and live pages of a deferd with much to show: DEFERD_BIN=FOLDER of deferd.

Reads a log of up to 1,000,000 messages for at most 30 s, each with one delivery, of 100,000 domains of which one has
10,000 of them. DEFERD_BENCH_ATTEMPTS=10000000 reads so many instead, however long it takes (5 to 10 minutes, 8 GB of
disk). Then: how long the Subject page of that domain, and Track delivery, take over a ledger of so many attempts; how
long /metrics takes with 100,000 subjects, beside a page of the same size that is only sent; and questions of a mail
server while 200 live pages are open and blocks come and go, beside the same without the pages. The figures are
the client's own (Python). Ends by itself, leaves nothing.
"""

import http.client
import os
import re
import socket
import sys
import threading
import time
import urllib.parse

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ.setdefault("DEFERD_SOURCE", SOURCE)
sys.path.insert(0, os.path.join(SOURCE, "tests", "e2e"))

from deferd_process import Deferd, stamp  # noqa: E402

SHORT = bool(os.environ.get("DEFERD_BENCH_SHORT"))
MESSAGES, SUBJECTS, SECONDS = (5_000, 1_000, 5) if SHORT else (1_000_000, 100_000, 30)
if "DEFERD_BENCH_ATTEMPTS" in os.environ:
    MESSAGES, SECONDS = int(os.environ["DEFERD_BENCH_ATTEMPTS"]), 3600
BIG = max(100, MESSAGES // 10_000)  # each so-manyth message is the busy domain's
PAGES, LIVE = (3, 5) if SHORT else (15, 200)
ASKING = 0.3 if SHORT else 4
BATCH = 2_000 if SHORT else 20_000
QUESTION = b"check\tlogin=u@quiet.example\tsource=submission\n"
CONFIG = """subject_series = 1000
[api]
listen = "127.0.0.1:0"
console = true
"""


def lines(first, count):
    """Messages of the many domains in turn; each BIG-th is of big.example. A tenth of those fails."""
    when, parts = stamp(), []
    for n in range(first, first + count):
        name = f"1xW{n // 1000000:03d}-{n % 1000000:06d}-{n % 100:02d}"
        who = "u@big.example" if n % BIG == 0 else f"u@d{n % SUBJECTS}.example"
        host = "R=dnslookup T=remote_smtp H=mx [198.51.100.1]"
        end = (f"** r{n}@far.example {host}: SMTP error from remote mail server after RCPT TO:<r{n}@far.example>: "
               "550 5.1.1 User unknown" if n % (10 * BIG) == 0 else f'=> r{n}@far.example {host} C="250 OK"')
        parts.append(f"{when} {name} <= {who} H=(pc) [192.0.2.1] P=esmtpsa A=plain:{who} S=300\n"
                     f"{when} {name} {end}\n{when} {name} Completed\n")
    return "".join(parts)


class Browser:
    def __init__(self, address, token):
        self.host, self.port = address.rsplit(":", 1)
        self.cookie = ""
        page, headers = self.get("/login")
        key = re.search(r'name="key" value="([^"]+)"', page).group(1)
        self.cookie = headers["Set-Cookie"].split(";")[0]
        form = urllib.parse.urlencode({"token": token, "zone": "UTC", "key": key})
        _, headers = self.get("/login", form)
        self.cookie = headers["Set-Cookie"].split(";")[0]

    def get(self, path, form=None):
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=60)
        headers = {"Cookie": self.cookie}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("GET" if form is None else "POST", path, form, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status in (200, 303), (path, answer.status, text[:300])
        connection.close()
        return text, answer.headers

    def live(self):
        """An open live page; its connection must be kept."""
        client = socket.create_connection((self.host, int(self.port)))
        client.sendall(f"GET /live HTTP/1.1\r\nHost: x\r\nCookie: {self.cookie}\r\n\r\n".encode())
        assert b" 200 " in client.recv(4096)
        return client


def timed(what, times, pause=0.0):
    """Milliseconds of each, sorted."""
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        what()
        took.append((time.perf_counter() - begin) * 1000)
        time.sleep(pause)
    return sorted(took)


def told(name, took, more=""):
    print(f"{name:44} median {took[len(took) // 2]:8.1f} ms, longest {took[-1]:8.1f} ms{more}")


def ask(client, seconds):
    """(questions, median, p99) in microseconds."""
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(200):
            begin = time.perf_counter_ns()
            client.sendall(QUESTION)
            client.recv(4096)
            took.append(time.perf_counter_ns() - begin)
    took.sort()
    return len(took), took[len(took) // 2] / 1000, took[len(took) * 99 // 100] / 1000


def changes(daemon, end):
    """Blocks and unblocks until `end`, each of which every live page hears of."""
    while not end.is_set():
        daemon.ctl("block", "changing.example", "--for", "1h", "--reason", "bench")
        daemon.ctl("unblock", "changing.example")


def floor(size):
    """A connection, a request and so many bytes back, without anything to be made."""
    listener = socket.create_server(("127.0.0.1", 0))
    body = b"x" * size

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.recv(4096)
            client.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode() + body)
            client.close()

    threading.Thread(target=serve, daemon=True).start()
    host, port = listener.getsockname()

    def once():
        connection = http.client.HTTPConnection(host, port)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()

    took = timed(once, PAGES)
    listener.close()
    return took


def main():
    daemon = Deferd(config=CONFIG)
    try:
        daemon.wait_log("answers are checked")
        begin, written = time.monotonic(), 0

        def read():
            return daemon.json("status")["lines"]["lines"]

        while written < MESSAGES and time.monotonic() - begin < SECONDS:
            daemon.append(lines(written, BATCH))
            written += BATCH
            while read() < (written - 2 * BATCH) * 3:  # two batches ahead, so that the end comes soon
                time.sleep(0.05)
        while read() < written * 3:
            time.sleep(0.05)
        print(f"{written:,} attempts of {min(written, SUBJECTS):,} domains in the ledger after "
              f"{time.monotonic() - begin:.0f} s; big.example has {written // BIG:,} of them")

        address = daemon.json("status")["listening"]["api"]
        # A token may open 40 pages at once.
        browsers = [Browser(address, daemon.json("token", "add", f"bench{n}", "--role", "admin")["token"])
                    for n in range(max(1, LIVE // 25))]
        browser = browsers[0]
        for name, path in (("Now", "/"), ("Subject, big.example", "/subject?name=big.example"),
                           ("Subject, a small domain", "/subject?name=d1.example"),
                           ("Track delivery, newest", "/track"),
                           ("Track delivery, failed", "/track?outcome=failed"),
                           ("Track delivery, one domain", "/track?domain=big.example"),
                           ("Track delivery, one recipient", "/track?recipient=r1234%40far.example"),
                           ("Destinations", "/destinations")):
            told(name, timed(lambda at=path: browser.get(at), PAGES, pause=0.06))
        host, port = daemon.json("status")["listening"]["http"].rsplit(":", 1)

        def metrics():
            connection = http.client.HTTPConnection(host, int(port))
            connection.request("GET", "/metrics")
            text = connection.getresponse().read()
            connection.close()
            return text

        size = len(metrics())
        took = timed(metrics, PAGES)
        sent = floor(size)
        told(f"/metrics with 1,000 named subjects, {size / 1000:.0f} kB", took, f", {took[PAGES // 2] / sent[PAGES // 2]:.1f} times sending it only")

        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(daemon.hook)
        rows = []
        for pages in (0, LIVE, 0, LIVE):
            opened = [browsers[n % len(browsers)].live() for n in range(pages)]
            end = threading.Event()
            changing = threading.Thread(target=changes, args=(daemon, end))
            changing.start()
            rows.append((pages, *ask(client, ASKING)))
            end.set()
            changing.join()
            for one in opened:
                one.close()
        for pages, count, median, p99 in rows:
            print(f"questions with {pages:3} live pages {count:8}, median {median:6.1f} us, p99 {p99:7.1f} us")
        quiet, busy = ([row for row in rows if row[0] == pages] for pages in (0, LIVE))
        for at, name in ((2, "median"), (3, "p99")):
            print(f"{name} with {LIVE} live pages: {min(one[at] for one in busy) / min(one[at] for one in quiet):.2f} of without")
    finally:
        daemon.stop()


if __name__ == "__main__":
    main()
