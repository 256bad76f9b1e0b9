#!/usr/bin/env python3
"""RCPT/s of a real Exim that asks for every recipient: nobody, a bare socket server, deferd, and Exim's
own ratelimit: DEFERD_BIN=FOLDER of deferd, DEFERD_FLOOR=the program question_floor, DEFERD_EXIM=exim4.

Two kept SMTP sessions, 50 RCPT then RSET, so that nothing is queued; all four take turns, ROUNDS times,
and the median counts. The shipped snippet asks once per message; once per recipient is the worst that
an Exim can ask. Needs root, as Exim takes a configuration of ours from root alone. Ends by itself, leaves
nothing.
"""

import base64
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROUNDS = 5
SECONDS = 4
RCPTS = 50
SESSIONS = 2

CONFIG = """
primary_hostname = mx.test.example
spool_directory = {folder}/spool
log_file_path = {folder}/exim/%slog
pid_file_path = {folder}/exim/exim.pid
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
keep_environment =
recipients_max = 0
smtp_accept_max_per_connection = 1000000000
smtp_accept_max_nonmail = 1000000000
acl_smtp_rcpt = rcpt
begin acl
rcpt:
{ask}
  accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = true
  server_advertise_condition = true
  server_set_id = $auth2
"""

SOCKET = """  deny condition = ${{if match{{${{readsocket{{{socket}}}\\
    {{check\\tsource=submission\\tlogin=$authenticated_id\\thost=$sender_host_address\\tsender=$sender_address\\n}}\\
    {{2s}}{{}}{{}}}}}}{{\\N^(reject|hold) \\N}}}}
"""
RATELIMIT = "  deny ratelimit = 1000000000 / 1h / per_rcpt / $authenticated_id\n"


class Session:
    def __init__(self, exim, config):
        self.process = subprocess.Popen([exim, "-C", config, "-oMa", "192.0.2.9.4321", "-bs"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.expect(1)
        secret = base64.b64encode(b"\0bob@bad.example\0secret").decode()
        self.say("EHLO pc.example", until=b"250 ")
        self.say(f"AUTH PLAIN {secret}", until=b"235 ")

    def expect(self, lines):
        for _ in range(lines):
            line = self.process.stdout.readline()
            assert line[:1] == b"2", line

    def say(self, text, until):
        self.process.stdin.write(text.encode() + b"\r\n")
        self.process.stdin.flush()
        while True:
            line = self.process.stdout.readline()
            assert line, "Exim ended"
            if line.startswith(until):
                return

    def run(self, end, counts):
        batch = ("MAIL FROM:<bob@bad.example>\r\n"
                 + "".join(f"RCPT TO:<r{i}@far.example>\r\n" for i in range(RCPTS)) + "RSET\r\n").encode()
        done = 0
        while time.monotonic() < end:
            self.process.stdin.write(batch)
            self.process.stdin.flush()
            self.expect(RCPTS + 2)
            done += RCPTS
        counts.append(done)

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def measure(exim, config):
    sessions = [Session(exim, config) for _ in range(SESSIONS)]
    counts = []
    begin = time.monotonic()
    threads = [threading.Thread(target=one.run, args=(begin + SECONDS, counts)) for one in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    for one in sessions:
        one.close()
    return sum(counts) / took


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def main():
    exim = os.environ["DEFERD_EXIM"]
    folder = tempfile.mkdtemp(prefix="deferd-bench-")
    os.chmod(folder, 0o755)
    for name in ("spool", "exim"):
        os.mkdir(os.path.join(folder, name))
        shutil.chown(os.path.join(folder, name), "Debian-exim", "Debian-exim")
    hook, floor = os.path.join(folder, "exim.sock"), os.path.join(folder, "floor.sock")
    log = os.path.join(folder, "mainlog")
    open(log, "w", encoding="utf-8").close()
    asks = {"nobody is asked": "", "bare server": SOCKET.format(socket=floor),
            "deferd": SOCKET.format(socket=hook), "ratelimit": RATELIMIT}
    configs = {}
    for number, (name, ask) in enumerate(asks.items()):
        configs[name] = os.path.join(folder, f"exim{number}.conf")
        with open(configs[name], "w", encoding="utf-8") as file:
            file.write(CONFIG.format(folder=folder, ask=ask))
    config = os.path.join(folder, "deferd.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'state_dir = "{folder}/state"\n[intake]\nexim = ["{log}"]\n[hook]\n'
                   f'exim = "unix:{hook}"\nmode = "0666"\n[admin]\nsocket = "{folder}/admin.sock"\n')
    daemon = subprocess.Popen([os.path.join(os.environ["DEFERD_BIN"], "deferd"), "--config", config],
                              stderr=subprocess.DEVNULL)
    bare = subprocess.Popen([os.environ["DEFERD_FLOOR"], floor], stdin=subprocess.PIPE)
    try:
        wait_for(hook)
        wait_for(floor)
        os.chmod(floor, 0o666)
        rates = {name: [] for name in asks}
        for _ in range(ROUNDS):
            for name in asks:
                rates[name].append(measure(exim, configs[name]))
        median = {name: statistics.median(rates[name]) for name in asks}
        for name in asks:
            print(f"{name:16} {median[name]:9,.0f} RCPT/s ({min(rates[name]):,.0f} to "
                  f"{max(rates[name]):,.0f}), {median[name] / median['bare server']:.2f} of the bare server")
    finally:
        bare.stdin.close()
        bare.wait()
        daemon.kill()
        daemon.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
