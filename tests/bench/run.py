#!/usr/bin/env python3
"""Runs all benchmarks, one after the other, and writes their figures as one report.

    tests/bench/run.py [--build DIR] [--output FILE] [--short] [NAME...]

DIR (build) was made with -DDEFERD_BENCH=ON. FILE gets the report, in Markdown: the machine, then
what each benchmark prints, floor and ratio with it. --short runs each for a moment: its figures mean
nothing then, but whatever has rotted shows. Needs redis-server, and a real Exim (DEFERD_EXIM) for one
of them, which is left out where there is none. Ends with 1 if one has failed.
"""

import argparse
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = "tests/bench"
# name: what it measures, its arguments, the same for a short run
PROGRAMS = {
    "question_bench": ("questions", [], []),
    "replay_bench": ("reading logs", ["1000000"], ["5000"]),
    "classify_bench": ("what answers mean", ["400"], ["1"]),
    "policy_bench": ("a policy of 100,000 rules", [], []),
    "memory_bench": ("memory", ["300000"], ["5000"]),
    "ledger_bench": ("commits and searches", ["1000000", "200000"], ["20000", "20000"]),
    "start_bench": ("a start with open messages", ["1", "1000000"], ["2", "1000"]),
    "redis_bench": ("sharing", ["100000"], ["500"]),
    "long_run": ("an hour of ever-new names", ["500", "120"], ["20", "20"]),
}
SCRIPTS = {
    "exim_rcpt.py": ("questions of a real Exim", ["{build}/tests/bench/floor_server"]),
    "question_under_load.py": ("questions under load", []),
    "notice_latency.py": ("questions while notices go out", []),
    "web_speed.py": ("the console, /metrics and live pages", []),
    "peers.py": ("other programs", []),
    "shared_latency.py": ("from one node's log to another node's answer", []),
}


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file
                      if line.startswith("model name")), platform.machine())
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (f"{time.strftime('%Y-%m-%d')}, {model}, {os.cpu_count()} cores, "
            f"Linux {platform.release()}; load {load} at the start")


def commands(build, short):
    """Name, what it measures and command of each."""
    for name, (what, full, brief) in PROGRAMS.items():
        yield name, what, [f"{build}/{HERE}/{name}", *(brief if short else full)]
    for name, (what, arguments) in SCRIPTS.items():
        yield name, what, [sys.executable, str(ROOT / HERE / name),
                           *[one.format(build=build) for one in arguments]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--output")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    unknown = set(options.names) - PROGRAMS.keys() - SCRIPTS.keys()
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are "
                     f"{', '.join([*PROGRAMS, *SCRIPTS])}")
    env = {**os.environ, "DEFERD_BIN": f"{build}/limiter/app", "DEFERD_SOURCE": str(ROOT),
           "PYTHONDONTWRITEBYTECODE": "1", "QUESTION_LOAD": f"{build}/{HERE}/question_load"}
    if options.short:
        env["DEFERD_BENCH_SHORT"] = "1"
    report = ["# Benchmarks", "", machine(), ""]
    failed = []
    for name, what, command in commands(build, options.short):
        if options.names and name not in options.names:
            continue
        if name == "exim_rcpt.py" and not shutil.which(env.get("DEFERD_EXIM", "/usr/sbin/exim4")):
            report += [f"## {name}: {what}", "", "Left out: there is no Exim here.", ""]
            print(f"{name}: left out, there is no Exim", flush=True)
            continue
        if not os.path.exists(command[0]):
            sys.exit(f"{command[0]} is missing: build with -DDEFERD_BENCH=ON")
        print(f"{name} ...", end=" ", flush=True)
        begin = time.monotonic()
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        took = time.monotonic() - begin
        good = done.returncode == 0 and done.stdout.strip() != ""
        print(f"{took:.0f} s" if good else f"FAILED ({done.returncode})", flush=True)
        report += [f"## {name}: {what}", "", "```", done.stdout.rstrip(), "```", ""]
        if not good:
            failed.append(name)
            print(done.stdout + done.stderr, file=sys.stderr)
    text = "\n".join(report)
    if options.output:
        pathlib.Path(options.output).write_text(text, encoding="utf-8")
    elif not options.short:
        print(text)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
