#!/usr/bin/env python3
"""What a day of mail costs deferd: memory, disk and CPU, for the table in operating.md.

    DEFERD_BIN=build/limiter/app DEFERD_SOURCE=. tests/bench/sizing.py [MESSAGES...]

For each number of messages it writes an Exim log of the last 24 hours, lets a daemon read it, and
measures the daemon: processor time, peak of resident memory, and the bytes of state_dir. One message
in ten has two recipients, one in thirty fails or is deferred; a domain sends 200 a day.
"""

import os
import resource
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import deferd_process  # noqa: E402

A_DAY = 86400
deferd_process.LIMIT = 900  # a day of a large server is read in one go


def write_log(path, messages):
    """The log; how many attempts it has."""
    begin = time.time() - A_DAY + 60
    domains = max(1, messages // 200)
    attempts = 0
    with open(path, "w", encoding="ascii") as log:
        for i in range(messages):
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(begin + i * (A_DAY - 120) / messages))
            name = f"1x{i // 1000000:04d}-{i % 1000000:06d}-00"
            user = f"user{i % 7}@domain{i * 7919 % domains}.example"
            log.write(f"{when} {name} <= {user} H=(pc) [192.0.2.{i % 250 + 1}] P=esmtpsa A=dovecot_login:{user} "
                      f"S={1000 + i % 9000} id={i}@pc.example\n")
            for to in range(2 if i % 10 == 0 else 1):
                attempts += 1
                remote = f"guest{i}.{to}@far{i % 900}.example"
                where = f"R=dnslookup T=remote_smtp H=mx.far{i % 900}.example [198.51.100.{i % 250 + 1}]"
                if i % 60 == 7:
                    log.write(f"{when} {name} ** {remote} {where}: SMTP error from remote mail server after "
                              f"RCPT TO:<{remote}>: 550 5.1.1 User unknown\n")
                elif i % 60 == 37:
                    log.write(f"{when} {name} == {remote} {where} defer (-44): SMTP error from remote mail "
                              f"server after RCPT TO:<{remote}>: 451 4.7.1 try again later\n")
                else:
                    log.write(f'{when} {name} => {remote} {where} X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes '
                              f'C="250 2.0.0 Ok: queued as {i:X}"\n')
            if i % 60 != 37:
                log.write(f"{when} {name} Completed\n")
    return attempts


def size(folder):
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))


def measure(messages):
    folder = tempfile.mkdtemp(prefix="deferd-sizing-")
    try:
        attempts = write_log(os.path.join(folder, "mainlog"), messages)
        log_bytes = os.path.getsize(os.path.join(folder, "mainlog"))
        begun = time.monotonic()
        daemon = deferd_process.Deferd(folder=folder)
        daemon.wait_log("answers are checked")
        took = time.monotonic() - begun
        with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
            memory = {line.split(":")[0]: int(line.split()[1]) for line in status if line.startswith("Vm")}
        daemon.stop()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {"messages": messages, "attempts": attempts, "log_mb": log_bytes / 1e6, "seconds": took,
                "cpu": used.ru_utime + used.ru_stime, "peak_mb": memory["VmHWM"] / 1e3,
                "now_mb": memory["VmRSS"] / 1e3, "state_mb": size(os.path.join(folder, "state")) / 1e6}
    finally:
        shutil.rmtree(folder)


def main():
    before = 0.0
    print("messages  attempts  log MB  read in s  CPU s  memory MB (peak)  state MB")
    for messages in [int(text) for text in sys.argv[1:]] or [10_000, 100_000, 1_000_000]:
        one = measure(messages)
        one["cpu"], before = one["cpu"] - before, one["cpu"]
        print("{messages:>8}  {attempts:>8}  {log_mb:>6.1f}  {seconds:>9.1f}  {cpu:>5.1f}  "
              "{now_mb:>6.0f} ({peak_mb:.0f})  {state_mb:>15.1f}".format(**one), flush=True)


if __name__ == "__main__":
    main()
