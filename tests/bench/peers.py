#!/usr/bin/env python3
"""deferd beside other programs that do a part of the same: DEFERD_BIN=FOLDER of deferd, and
QUESTION_LOAD, the program of that name.

Logs of Exim and of Postfix are read by deferctl replay and by eximstats and pflogsumm. Questions of
a message each are answered by deferd, policyd-rate-limit, postfwd and rspamd's ratelimit module, over
the socket that each one has, from 8 kept connections (rspamd: a connection for each, as it closes
them). What is not installed is left out and named: apt-get install exim4-base pflogsumm postfwd
policyd-rate-limit rspamd redis-server. Each server listens on loopback or a unix socket only, and ends
with this program.
"""

import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from redis_server import free_port, until  # noqa: E402

SHORT = bool(os.environ.get("DEFERD_BENCH_SHORT"))
LINES = 6_000 if SHORT else 1_200_000
SECONDS = "0.1" if SHORT else "3"
LOAD = os.environ["QUESTION_LOAD"]
BIN = pathlib.Path(os.environ["DEFERD_BIN"])
POSTFIX_QUESTION = ("request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
                    "client_address=192.0.2.7\nclient_name=pc.example\nhelo_name=pc\n"
                    "sender=user{n}@customer.example\nrecipient=someone@far.example\n"
                    "recipient_count=1\nsasl_method=plain\nsasl_username=user{n}@customer.example\n"
                    "size=1000\nqueue_id=\ninstance=a.{n}\n\n")


def program(*names):
    """The first of these that is installed."""
    places = os.environ["PATH"] + ":/usr/sbin:/usr/lib/postfwd"
    return next((found for name in names if (found := shutil.which(name, path=places))), None)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# Logs.


def exim_log(path):
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    with open(path, "w", encoding="ascii") as file:
        for n in range(LINES // 3):
            name = f"1xL{n // 1000000:03d}-{n % 1000000:06d}-{n % 100:02d}"
            who = f"u@d{n % 5000}.example"
            last = ("** r{n}@far.example R=dnslookup T=remote_smtp H=mx.far.example [198.51.100.1]: SMTP error "
                    "from remote mail server after RCPT TO:<r{n}@far.example>: 550 5.1.1 no such user"
                    if n % 20 == 0 else "=> r{n}@far.example R=dnslookup T=remote_smtp H=mx.far.example "
                    '[198.51.100.1] X=TLS1.3:AES256:256 CV=yes C="250 OK"').replace("{n}", str(n))
            file.write(f"{stamp} {name} <= {who} H=(pc) [192.0.2.1] P=esmtpsa A=plain:{who} S=300\n"
                       f"{stamp} {name} {last}\n{stamp} {name} Completed\n")


def postfix_log(path):
    stamp = time.strftime("%b %e %H:%M:%S")
    with open(path, "w", encoding="ascii") as file:
        for n in range(LINES // 4):
            name, who = f"{n + 0x100000:06X}", f"u@d{n % 5000}.example"
            status = ("dsn=5.1.1, status=bounced (host mx.far.example[198.51.100.1] said: 550 5.1.1 no such user "
                      "(in reply to RCPT TO command))" if n % 20 == 0 else "dsn=2.0.0, status=sent (250 OK)")
            file.write(f"{stamp} host postfix/smtpd[7]: {name}: client=pc[192.0.2.1], sasl_method=plain, "
                       f"sasl_username={who}\n"
                       f"{stamp} host postfix/qmgr[8]: {name}: from=<{who}>, size=300, nrcpt=1 (queue active)\n"
                       f"{stamp} host postfix/smtp[9]: {name}: to=<r{n}@far.example>, "
                       f"relay=mx.far.example[198.51.100.1]:25, delay=1, delays=0.1/0/0.4/0.5, {status}\n"
                       f"{stamp} host postfix/qmgr[8]: {name}: removed\n")


def read_logs(folder):
    readers = [("exim", exim_log, program("eximstats"), "eximstats", "exim4-base"),
               ("postfix", postfix_log, program("pflogsumm"), "pflogsumm", "pflogsumm")]
    for kind, write, peer, name, package in readers:
        path = os.path.join(folder, f"{kind}.log")
        write(path)
        size = os.path.getsize(path) / 1e6
        ours = timed([BIN / "deferctl", "replay", path])
        print(f"{kind} log of {size:.0f} MB: deferctl replay {size / ours:.0f} MB a second of processor time", end="")
        if peer is None:
            print(f"; {name} is left out: package {package} is not here")
            continue
        theirs = timed([peer, path])
        print(f", {name} {size / theirs:.0f} MB/s: {theirs / ours:.1f} times as fast")


def timed(command):
    """Seconds of processor time: deferctl reads and counts on two cores."""
    before = os.times()
    subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return (after.children_user + after.children_system
            - before.children_user - before.children_system)


# Servers. Each is a context that gives its address.


@contextlib.contextmanager
def running(command, ready, what, **options):
    log = tempfile.TemporaryFile()
    process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, **options)
    try:
        def up():
            if process.poll() is not None:
                log.seek(0)
                sys.exit(f"{what} ended: {log.read().decode(errors='replace')[-800:]}")
            return ready()
        until(up, f"{what} is ready")
        yield process
    finally:
        process.terminate()
        process.wait()
        log.close()


@contextlib.contextmanager
def deferd(folder):
    hook, log, config = (os.path.join(folder, name) for name in ("policy.sock", "empty.log", "deferd.toml"))
    pathlib.Path(log).touch()
    pathlib.Path(config).write_text(
        f'state_dir = "{folder}/state"\n[intake]\npostfix = ["{log}"]\n[hook]\npostfix = "unix:{hook}"\n'
        f'[admin]\nsocket = "{folder}/admin.sock"\n', encoding="utf-8")
    with running([BIN / "deferd", "--config", config], lambda: os.path.exists(hook), "deferd"):
        yield hook


@contextlib.contextmanager
def postfwd(folder):
    rules = os.path.join(folder, "postfwd.cf")
    # By login, as many as it wants within an hour: never reached here.
    pathlib.Path(rules).write_text("id=R1; action=rate(sasl_username/1000000/3600/450 4.7.1 too many)\n",
                                   encoding="utf-8")
    port = free_port()
    me = pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "nobody"
    os.chmod(folder, 0o755)
    pid = os.path.join(folder, "postfwd.pid")
    os.chown(folder, pwd.getpwnam(me).pw_uid, -1)
    # It has no way to stay in the foreground but one that reads questions from standard input.
    subprocess.run([program("postfwd1", "postfwd"), "--daemon", "--file", rules, "--interface", "127.0.0.1",
                    "--port", str(port), "--user", me, "--group", "nogroup", "--nodns", "--summary", "0",
                    "--pidfile", pid], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    number = int(pathlib.Path(pid).read_text(encoding="ascii"))
    try:
        until(lambda: answers(port), "postfwd is ready")
        yield str(port)
    finally:
        os.kill(number, signal.SIGTERM)
        until(lambda: not os.path.exists(f"/proc/{number}"), "postfwd has ended")


@contextlib.contextmanager
def policyd(folder):
    hook, config = os.path.join(folder, "ratelimit.sock"), os.path.join(folder, "policyd.yaml")
    user = pwd.getpwuid(os.getuid()).pw_name
    pathlib.Path(config).write_text(
        f'debug: False\nuser: "{user}"\ngroup: "{user}"\npidfile: "{folder}/policyd.pid"\nbackend: 0\n'
        f'sqlite_config:\n    database: "{folder}/policyd.sqlite3"\nSOCKET: "{hook}"\nsocket_permission: 0666\n'
        "limits:\n    - [1000000, 3600]\nlimits_by_id: {}\nlimit_by_sasl: True\nlimit_by_sender: False\n"
        'limit_by_ip: False\nlimited_networks: []\nsuccess_action: "dunno"\nfail_action: "defer_if_permit no"\n'
        'db_error_action: "dunno"\ncount_mode: 0\nreport: False\ndelay_to_close: 300\n', encoding="utf-8")
    with running([program("policyd-rate-limit"), "-f", config], lambda: os.path.exists(hook), "policyd-rate-limit"):
        yield hook


@contextlib.contextmanager
def rspamd(folder):
    home = os.path.join(folder, "rspamd")
    os.makedirs(home)
    os.chmod(folder, 0o755)
    store, port = os.path.join(home, "redis.sock"), free_port()
    config = os.path.join(home, "rspamd.conf")
    pathlib.Path(config).write_text(f'''
options {{ pidfile = "{home}/pid"; filters = ""; dns {{ nameserver = ["127.0.0.1:1:1"]; }} }}
logging {{ type = "file"; filename = "{home}/log"; level = "error"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
redis {{ servers = "{store}"; }}
modules {{ path = "/usr/share/rspamd/plugins/ratelimit.lua"; }}
ratelimit {{ rates {{ user = {{ bucket = {{ burst = 1000000; rate = "1000000 / 1h"; }} }} }} }}
''', encoding="utf-8")
    redis = ["redis-server", "--port", "0", "--unixsocket", store, "--save", "", "--dir", home, "--unixsocketperm", "777"]
    with running(redis, lambda: os.path.exists(store), "redis-server"):
        command = [program("rspamd"), "-f", "-c", config, "-i"]
        with running(command, lambda: answers(port), "rspamd"):
            yield str(port)


HTTP_QUESTION = "From: a@b.example\r\nSubject: x\r\n\r\nx\r\n"
HTTP_QUESTION = (f"POST /checkv2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser: user{{n}}@customer.example\r\n"
                 f"From: user{{n}}@customer.example\r\nRcpt: someone@far.example\r\nIP: 192.0.2.7\r\n"
                 f"Content-Length: {len(HTTP_QUESTION)}\r\n\r\n{HTTP_QUESTION}")
SERVERS = [
    # name, package, programs, server, question, answer, its end
    ("deferd", "", (), deferd, POSTFIX_QUESTION, "action=", "\\n\\n"),
    ("postfwd", "postfwd", ("postfwd1", "postfwd"), postfwd, POSTFIX_QUESTION, "action=", "\\n\\n"),
    ("policyd-rate-limit", "policyd-rate-limit", ("policyd-rate-limit",), policyd, POSTFIX_QUESTION, "action=", "\\n\\n"),
    ("rspamd ratelimit", "rspamd", ("rspamd",), rspamd, HTTP_QUESTION, "HTTP/1.1 200", ""),
]


def ask_all(folder):
    first = None
    for name, package, names, server, question, answer, end in SERVERS:
        if names and program(*names) is None:
            print(f"{name} is left out: package {package} is not here")
            continue
        with server(tempfile.mkdtemp(dir=folder)) as address:
            once = ["once"] if end == "" else []
            done = subprocess.run([LOAD, address, "8", SECONDS, answer, end, *once], input=question,
                                  capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{name}: {done.stderr.strip()}")
        rate, median, p99 = (float(one) for one in done.stdout.split())
        first = first or rate
        print(f"{name:20} {rate:9,.0f} questions/s, median {median:8.1f} us, p99 {p99:9.1f} us, "
              f"deferd {first / rate:6.1f} times as many")


def main():
    folder = tempfile.mkdtemp(prefix="deferd-peers-")
    os.chmod(folder, 0o755)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        read_logs(folder)
        ask_all(folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
