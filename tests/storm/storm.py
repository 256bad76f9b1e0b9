#!/usr/bin/env python3
"""A storm of faults on two nodes that share a Redis: nothing may be lost, and nothing counted twice.

One node follows a real Exim, the other a real Postfix; both share a Redis with a replica and three
sentinels. Mail flows all the time to a server of ours, which remembers what it answered to whom: the
truth. Meanwhile deferd is killed, its disk fills, its clock is set, Redis is killed, stopped, emptied,
demoted, filled and failed over, Exim's log rotates, policies are read again, and a person blocks and
unblocks. In the end both nodes must count what the truth says, and know each last order of the person.
The report says so in numbers, and how long questions took. Bounded by time and by the numbers of
faults. The clock of a node of ours is set with libfaketime, where that is installed: by less than the
five minutes that the mail server's clock, which stays right, may be ahead of it.

    tests/storm/run.sh [--seconds 120] [--kills 1000] [--faults 200] [--seed 1] [--report FILE]
"""

import argparse
import collections
import glob
import json
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.environ["DEFERD_SOURCE"], "tests/e2e"))

from deferd_process import DEFERCTL  # noqa: E402
from exim_process import EximTest  # noqa: E402
from postfix_process import PostfixTest  # noqa: E402
from redis_server import Redis, free_port, until  # noqa: E402

DOMAINS = [f"d{i}.example" for i in range(12)]
ORDERED = [f"person{i}.example" for i in range(6)]  # that the person blocks; they send nothing
WAIT = 240  # seconds until counts must be right once the faults are over
# No rule may trip: every message is to be counted.
POLICY = """
[rule.few]
min_bad = 1000000
percent = 100
"""


class Truth:
    """What became of each recipient last, by sender's domain, as the server of ours answered."""

    def __init__(self):
        self.lock = threading.Lock()
        self.last = {}  # (domain, recipient): outcome

    def note(self, sender, recipient):
        local = recipient.split("@")[0]
        outcome = ("failed" if local.startswith("nouser") else
                   "deferred" if local.startswith("unsure") else "delivered")
        with self.lock:
            self.last[sender.split("@")[1], recipient] = outcome

    def counts(self):
        with self.lock:
            sums = collections.defaultdict(collections.Counter)
            for (domain, _), outcome in self.last.items():
                sums[domain][outcome] += 1
        return {domain: {name: one[name] for name in ("delivered", "deferred", "failed")}
                for domain, one in sums.items()}


class Clock:
    """The time of day that a daemon sees; the time that passes is the machine's."""

    library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile("w", prefix="deferd-clock-", encoding="utf-8")
        os.chmod(self.file.name, 0o644)
        self.set(0)

    def set(self, seconds):
        """So far it is ahead; negative: behind. Written in place and at once: it is read all the time."""
        os.pwrite(self.file.fileno(), f"{seconds:+08d}s\n".encode(), 0)

    def env(self):
        return {"LD_PRELOAD": self.library, "FAKETIME_TIMESTAMP_FILE": self.file.name,
                "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


class Cluster:
    """A master, a replica and three sentinels; whoever is dead is started again by heal()."""

    def __init__(self):
        self.one = Redis(port=free_port())
        self.two = Redis("--replicaof", "127.0.0.1", str(self.one.port), port=free_port())
        until(lambda: "master_link_status:up" in self.two.cli("INFO", "replication"), "replicated")
        watched = (f"sentinel monitor mails 127.0.0.1 {self.one.port} 2\n"
                   "sentinel down-after-milliseconds mails 500\nsentinel failover-timeout mails 3000\n")
        self.sentinels = [Redis(port=free_port(), program="redis-sentinel", config=watched)
                          for _ in range(3)]
        for sentinel in self.sentinels:
            until(lambda s=sentinel: "slaves=1,sentinels=3" in s.cli("INFO", "sentinel"), "sentinels know")
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/mails"

    def master(self):
        for server in (self.one, self.two):
            if server.process.poll() is None and "role:master" in server.cli("INFO", "replication"):
                return server
        return None

    def servers(self):
        return [server for server in (self.one, self.two) if server.process.poll() is None]

    def heal(self):
        """All servers run, and one of them is the master. The sentinels make the other its replica."""
        for server in (self.one, self.two):
            if server.process.poll() is not None:
                server.start()
            server.resume()
            server.cli("CONFIG", "SET", "maxmemory", "0")
        until(self.master, "one is the master")

    def remove(self):
        for server in (self.one, self.two, *self.sentinels):
            server.resume()
            server.remove()


class Storm:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.truth = Truth()
        self.end = threading.Event()
        self.done = collections.Counter()
        self.slow = {"asked": [], "refused": 0}
        self.wrong = []
        self.took = 0  # seconds
        self.cluster = Cluster()
        shared = f'[shared]\nredis = "{self.cluster.url}"\n'
        self.exim = EximTest()
        self.exim.begin(policy=POLICY, config=shared)
        self.postfix = PostfixTest()
        self.postfix.begin(policy=POLICY, config=shared)
        self.nodes = [self.exim.daemon, self.postfix.daemon]
        self.clocks = [Clock() for _ in self.nodes] if Clock.library else []
        for node, clock in zip(self.nodes, self.clocks):
            node.stop()
            node.env = clock.env()
            node.start()
        self.asked_at = self.nodes[0].hook
        self.orders = {}  # domain: "block" or "unblock", the last one that was carried out
        for mta in (self.exim, self.postfix):
            listen_to(mta.sink, self.truth)
        self.number = 0
        self.lock = threading.Lock()
        self.faults = [self.kill_redis, self.stop_redis, self.flush_redis, self.demote_redis,
                       self.fill_redis, self.failover, self.forget_scripts]

    # What goes on all the time.

    def recipients(self):
        names = []
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            with self.lock:
                self.number += 1
                number = self.number
            kind = self.random.choices(["ok", "nouser", "unsure"], [80, 15, 5])[0]
            names.append(f"{kind}{number}@far.example")
        return names

    def mail_by_exim(self):
        while not self.end.is_set():
            domain = self.random.choice(DOMAINS)
            login = f"user@{domain}"
            self.exim.session([(login, self.recipients()) for _ in range(5)], login)
            self.run_queue()
            self.done["sessions of Exim"] += 1

    def run_queue(self):
        """On a machine that is busy with other things it takes long: the next one goes on."""
        try:
            self.exim.exim("-q")
        except subprocess.TimeoutExpired:
            self.done["queue runs cut short"] += 1

    def mail_by_postfix(self):
        while not self.end.is_set():
            login = f"user@{self.random.choice(DOMAINS)}"
            code, text = self.postfix.postfix.send(login, self.recipients(), login)
            if code != 250:
                self.wrong.append(f"Postfix answered {code} {text}")
            self.done["messages of Postfix"] += 1
            self.end.wait(0.02)

    def questions(self):
        while not self.end.is_set():
            begin = time.monotonic()
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(10)
                    client.connect(self.asked_at)
                    client.sendall(b"check\tsource=submission\tlogin=user@d0.example\tsender=a@d0.example\n")
                    answer = client.recv(4096)
                if answer:
                    self.slow["asked"].append(time.monotonic() - begin)
                else:
                    self.slow["refused"] += 1
            except OSError:  # it is being killed
                self.slow["refused"] += 1
            self.end.wait(0.005)

    def person(self):
        """Blocks and unblocks, each time on a node that shows what was ordered last."""
        while not self.end.is_set():
            domain = self.random.choice(ORDERED)
            is_blocked = self.orders.get(domain) == "block"
            node = self.random.choice(self.nodes)
            try:
                knows = self.blocked(node, domain) == is_blocked
            except AssertionError:  # it is being killed
                knows = False
            if knows:
                self.order(node, domain, "unblock" if is_blocked else "block")
            self.end.wait(0.1)

    def order(self, node, domain, word):
        """Again and again until the node says that it is done and saved: an answer may be lost with a
        kill, and what is done while the disk is full does not outlive one."""
        words = ["unblock", domain] if word == "unblock" else ["block", domain, "--for", "6h"]
        limit = time.monotonic() + 120
        while time.monotonic() < limit:
            done = subprocess.run([DEFERCTL, "--json", "--socket", node.admin, *words, "--reason", "storm"],
                                  capture_output=True, text=True, timeout=60, check=False)
            saved = done.returncode == 0 and json.loads(done.stdout)["not_saved"] is None
            if saved or (word == "unblock" and "no block to end" in done.stderr):
                self.orders[domain] = word
                self.done["orders of the person"] += 1
                return
            self.done["orders given again"] += 1
            time.sleep(0.1)
        self.wrong.append(f"{word} {domain}: {done.stderr}")

    def blocked(self, node, domain):
        return node.json("check", domain)["verdict"] != "pass"

    # Faults.

    def kill_node(self):
        node = self.random.choice(self.nodes)
        node.process.kill()
        node.stop()
        node.start()
        self.done["kills of deferd"] += 1

    def kill_redis(self):
        if server := self.cluster.master():
            server.kill()
            time.sleep(self.random.random() * 2)
            self.cluster.heal()

    def stop_redis(self):
        if server := self.cluster.master():
            server.pause()
            time.sleep(self.random.random())
            server.resume()

    def flush_redis(self):
        if server := self.cluster.master():
            server.cli("FLUSHALL")

    def demote_redis(self):
        if server := self.cluster.master():
            server.cli("REPLICAOF", "127.0.0.1", "1")
            time.sleep(self.random.random())
            server.cli("REPLICAOF", "NO", "ONE")

    def fill_redis(self):
        for server in self.cluster.servers():
            server.cli("CONFIG", "SET", "maxmemory", "1")
        time.sleep(self.random.random())
        self.cluster.heal()

    def failover(self):
        self.cluster.sentinels[0].cli("SENTINEL", "FAILOVER", "mails")
        time.sleep(1)

    def forget_scripts(self):
        if server := self.cluster.master():
            server.cli("SCRIPT", "FLUSH")

    def fill_disk(self):
        """deferd may write nothing for a while; sometimes it is killed meanwhile."""
        node = self.random.choice(self.nodes)
        limit = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (0, limit[1]))
        time.sleep(self.random.random())
        if self.random.random() < 0.2:
            node.process.kill()
            node.stop()
            node.start()
            self.done["kills of deferd"] += 1
        else:
            resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, limit)
        self.done["full disks"] += 1

    def set_clock(self):
        """The next fault comes when the node has seen it: a node that is killed before, and cannot
        reach Redis after its start, cannot know by how much its clock was set (the manual's limits)."""
        node, clock = self.random.choice(list(zip(self.nodes, self.clocks)))
        ahead = self.random.randint(-240, 240)
        clock.set(ahead)
        try:
            until(lambda: abs(node.json("status")["shared"]["offset_seconds"] + ahead) <= 2, "noticed", WAIT)
        except AssertionError as error:
            self.wrong.append(f"{node.folder} has not noticed that its clock was set: {error}")
        time.sleep(1)  # it is saved with the next counts
        self.done["steps of a clock"] += 1

    def rotate(self):
        """Exim opens its log anew for each message, so a rename is a rotation."""
        path = self.exim.log_path
        if os.path.exists(path):
            self.done["rotations"] += 1
            os.rename(path, f"{path}.{self.done['rotations']}")

    def reload(self):
        self.random.choice(self.nodes).hangup()
        self.done["reloads"] += 1

    # The whole.

    def work(self, what):
        """A load that stopped is no storm."""
        try:
            what()
        except Exception as error:
            self.wrong.append(f"{what.__name__} stopped: {error!r}")

    def run(self):
        workers = [threading.Thread(target=self.work, args=(work,)) for work in
                   (self.mail_by_exim, self.mail_by_postfix, self.questions, self.person)]
        for worker in workers:
            worker.start()
        begin = time.monotonic()
        limit = begin + self.options.seconds
        try:
            while time.monotonic() < limit and (self.done["kills of deferd"] < self.options.kills or
                                                self.done["faults of Redis"] < self.options.faults):
                what = self.random.choices(["kill", "redis", "disk", "rotate", "reload", "clock"],
                                           [60, 20, 4, 4, 4, 12 if self.clocks else 0])[0]
                if what == "kill" and self.done["kills of deferd"] < self.options.kills:
                    self.kill_node()
                elif what == "redis" and self.done["faults of Redis"] < self.options.faults:
                    fault = self.random.choice(self.faults)
                    fault()
                    self.done[fault.__name__.replace("_", " ")] += 1
                    self.done["faults of Redis"] += 1
                elif what == "disk":
                    self.fill_disk()
                elif what == "rotate":
                    self.rotate()
                elif what == "clock":
                    self.set_clock()
                else:
                    self.reload()
                time.sleep(self.random.random() * 0.2)
        finally:
            self.took = time.monotonic() - begin
            self.end.set()
            for worker in workers:
                worker.join()
            self.cluster.heal()
            for clock in self.clocks:
                clock.set(0)
        self.compare()

    def counted(self, node):
        return {row["subject"]: {name: row[name] for name in ("delivered", "deferred", "failed")}
                for row in node.json("top", "--limit", "0") if row["subject"] in DOMAINS}

    def compare(self):
        try:
            until(self.all_tried, "all mail has been tried", WAIT)
        except AssertionError:
            self.wrong.append(f"{self.waiting()} recipients were not tried")
        wanted = self.truth.counts()
        for node in self.nodes:
            try:
                until(lambda n=node: self.counted(n) == self.truth.counts(), "counts", WAIT)
            except AssertionError:
                self.wrong.append(f"{node.folder} counts {json.dumps(self.counted(node))}, "
                                  f"the truth is {json.dumps(wanted)}")
            for domain, order in self.orders.items():
                try:
                    until(lambda n=node, d=domain, o=order: self.blocked(n, d) == (o == "block"),
                          "order", WAIT)
                except AssertionError:
                    case = json.dumps(node.json("why", domain)["case"])
                    self.wrong.append(f"{node.folder}: the last order for {domain} was {order}, "
                                      f"and its case is {case}")

    def all_tried(self):
        self.run_queue()  # what a queue run left because another had it
        return not self.waiting()

    def waiting(self):
        """Recipients that the server of ours has not yet been asked about."""
        with self.truth.lock:
            return self.number - len(self.truth.last)

    def report(self):
        asked = sorted(self.slow["asked"]) or [0]
        lines = [f"seed {self.options.seed}, {self.took / 60:.0f} minutes",
                 f"{len(self.truth.last)} recipients of {len(DOMAINS)} domains, on two nodes"]
        lines += [f"{number} {name}" for name, number in sorted(self.done.items())]
        if not self.clocks:
            lines += ["no clock was set: libfaketime is not installed"]
        lines += [f"{len(asked)} questions answered, p50 {asked[len(asked) // 2] * 1e3:.2f} ms, "
                  f"p99 {asked[len(asked) * 99 // 100] * 1e3:.2f} ms, longest {asked[-1] * 1e3:.1f} ms; "
                  f"{self.slow['refused']} while the node was down"]
        lines += [f"WRONG: {one}" for one in self.wrong] or ["all counts and orders are right on both nodes"]
        return "\n".join(lines) + "\n"

    def close(self):
        self.end.set()
        self.exim.doCleanups()
        self.postfix.doCleanups()
        self.cluster.remove()


def listen_to(sink, truth):
    """Every answer to RCPT and DATA of `sink` goes to `truth`: a recipient that was refused is what the
    refusal says; one that was accepted is delivered once the message was."""
    sink.rejected = lambda sender, recipient: truth.note(sender, recipient) if sender else None

    def answer_data(sender, recipients):
        if sender:
            for recipient in recipients:
                truth.note(sender, recipient)
        return "250 OK queued"

    sink.answer_data = answer_data


def main():
    if os.getuid() != 0:  # Exim takes a configuration of ours from root alone
        keep = "DEFERD_BIN,DEFERD_SOURCE,DEFERD_EXIM,DEFERD_EXIM_CONFIG,DEFERD_POSTFIX"
        os.execvp("sudo", ["sudo", "-n", f"--preserve-env={keep}", "python3", *sys.argv])
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report")
    options = parser.parse_args()
    options.seconds = min(options.seconds, 2700)  # all within the window of an hour
    storm = Storm(options)
    try:
        storm.run()
        text = storm.report()
    finally:
        storm.close()
    print(text, end="")
    if options.report:
        with open(options.report, "w", encoding="utf-8") as file:
            file.write(text)
    sys.exit(1 if storm.wrong else 0)


if __name__ == "__main__":
    main()
