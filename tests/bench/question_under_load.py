#!/usr/bin/env python3
"""Questions while deferd has other things to do: DEFERD_BIN=FOLDER of deferd.

One kept connection asks one question after the other; the figures are the client's own (Python, so
tens of microseconds are its floor). Quiet; while the policy is loaded again and again; while Redis, which
it shares through, is stopped; while a log of 600,000 lines is read; the same on a full disk (a limit on
file sizes). Ends by itself, leaves nothing.
"""

import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from redis_server import Redis  # noqa: E402

LINES = 6_000 if os.environ.get("DEFERD_BENCH_SHORT") else 600_000


def log_text(first, messages):
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
    parts = []
    for n in range(first, first + messages):
        name, who = f"1xL{n // 1000000:03d}-{n % 1000000:06d}-{n % 100:02d}", f"u@d{n % 5000}.example"
        parts.append(f"{stamp} {name} <= {who} H=(pc) [192.0.2.1] P=esmtpsa A=plain:{who} S=300\n"
                     f"{stamp} {name} => r{n}@far.example R=dnslookup T=remote_smtp H=mx "
                     f'[198.51.100.1] C="250 OK"\n{stamp} {name} Completed\n')
    return "".join(parts)


def ask(client, seconds, until=None):
    took = []
    end = time.monotonic() + seconds
    while not took or (time.monotonic() < end and (until is None or not until())):
        for _ in range(200):
            begin = time.perf_counter_ns()
            client.sendall(b"check\tlogin=u@d1.example\tsource=submission\n")
            client.recv(4096)
            took.append(time.perf_counter_ns() - begin)
    took.sort()
    return len(took), took[len(took) // 2] / 1000, took[len(took) * 99 // 100] / 1000


def again_and_again(command, end, times):
    """Runs it until `end`; each success adds to `times`."""
    while not end.is_set():
        subprocess.run(command, capture_output=True, check=True)
        times.append(1)


def main():
    folder = tempfile.mkdtemp(prefix="deferd-bench-")
    log, hook = os.path.join(folder, "mainlog"), os.path.join(folder, "exim.sock")
    open(log, "w", encoding="utf-8").close()
    redis = Redis()
    config = os.path.join(folder, "deferd.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'state_dir = "{folder}/state"\n[intake]\nexim = ["{log}"]\n'
                   f'[hook]\nexim = "unix:{hook}"\n[admin]\nsocket = "{folder}/admin.sock"\n'
                   f'[shared]\nredis = "{redis.url}"\n')
    bin_folder = os.environ["DEFERD_BIN"]
    daemon = subprocess.Popen([os.path.join(bin_folder, "deferd"), "--config", config],
                              stderr=subprocess.DEVNULL)

    ctl = [os.path.join(bin_folder, "deferctl"), "--socket", f"{folder}/admin.sock", "--json"]

    def read_lines():
        out = subprocess.run([*ctl, "status"], capture_output=True, text=True, check=False).stdout
        at = out.find('"lines": {')
        return int(out[at:].split('"lines":')[2].split(",")[0]) if at >= 0 else 0

    try:
        while not os.path.exists(hook):
            time.sleep(0.01)
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(hook)
        length = 0.3 if LINES < 10_000 else 5
        results = [("quiet", *ask(client, length))]
        end, reloads = threading.Event(), []
        reloading = threading.Thread(target=again_and_again, args=([*ctl, "reload"], end, reloads))
        reloading.start()
        results.append(("policy being loaded", *ask(client, length)))
        end.set()
        reloading.join()
        if not reloads:
            sys.exit("no reload succeeded")
        redis.pause()
        results.append(("redis stopped", *ask(client, length)))
        redis.resume()
        messages = LINES // 3
        for number, name in enumerate(["log being read", "log being read, disk full"]):
            text = log_text(number * messages, messages)
            if number == 1:
                _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
                resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, hard))
            with open(log, "a", encoding="utf-8") as file:
                file.write(text)
            begin, goal, state = time.monotonic(), (number + 1) * LINES, {"next": 0.0, "lines": 0}

            def done():
                if time.monotonic() > state["next"]:
                    state["next"] = time.monotonic() + 0.5
                    state["lines"] = read_lines()
                return state["lines"] >= goal

            results.append((name, *ask(client, 60, done)))
            print(f"{name}: {LINES / (time.monotonic() - begin):,.0f} lines/s")
        print(f"the policy was loaded {len(reloads)} times")
        for name, n, median, p99 in results:
            print(f"{name:30} {n:8} questions, median {median:7.1f} us, p99 {p99:8.1f} us, "
                  f"p99 {p99 / results[0][3]:.2f} of quiet")
    finally:
        daemon.kill()
        daemon.wait()
        redis.remove()
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
