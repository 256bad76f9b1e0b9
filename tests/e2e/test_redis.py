"""Several deferds, one Redis: real processes, real trouble."""

import os
import re
import signal
import time
import unittest

from deferd_process import ASK, DEFERCTL, DEFERD, SOURCE, DeferdTest, message, run
from redis_server import Certificates, Redis, RedisCluster, free_port, until


class SharingTest(DeferdTest):
    def redis(self, *arguments, **options):
        server = Redis(*arguments, **options)
        self.addCleanup(server.remove)
        return server

    def node(self, url, **options):
        return self.deferd(f'[shared]\nredis = "{url}"\n', **options)

    def nodes(self, url, count=2):
        daemons = [self.node(url) for _ in range(count)]
        for daemon in daemons:
            daemon.wait_log("answers are checked")
        return daemons

    def bad_mail(self, daemon, times, login="bob@bad.example"):
        daemon.append("".join(message("failed", login) for _ in range(times)))

    def wait_answer(self, daemon, word, ask=ASK):
        return until(lambda: (lambda said: said.startswith(word) and said)(daemon.ask(ask)),
                     f"{daemon.folder} answers {word}")

    def counted(self, daemon, domain="bad.example"):
        return daemon.json("why", domain)["window"]["bad"]

    def shared(self, daemon):
        return daemon.json("status")["shared"]


class TwoNodes(SharingTest):
    def test_half_the_bad_mail_on_each_blocks_on_both_and_one_unblock_frees_both(self):
        redis = self.redis()
        one, two = self.nodes(redis.url)
        self.bad_mail(one, 3)
        until(lambda: self.counted(two) == 3, "the other node shows the counts of both")
        self.assertEqual(one.ask(ASK), "pass")
        self.bad_mail(two, 2)
        for daemon in (one, two):
            self.assertIn("(5/5 (100%))", self.wait_answer(daemon, "reject"))
        blocks = [daemon.json("blocks")[0] for daemon in (one, two)]
        self.assertEqual(blocks[0]["id"], blocks[1]["id"])
        said = sum("BLOCKED" in line for daemon in (one, two) for line in daemon.lines)
        self.assertEqual(said, 1, "one node tells people")
        receipt = until(lambda: (lambda found: len(found) == 5 and found)(
            one.json("why", "bad.example")["case"]["receipt"]["attempts"]), "both nodes' attempts")
        nodes = {daemon.json("status")["node"] for daemon in (one, two)}
        self.assertEqual({attempt["node"] for attempt in receipt}, nodes)
        for daemon in (one, two):
            status, out, err = daemon.ctl("why", "bad.example", "--verify")
            self.assertIn("confirmed", out, err)
        window = two.json("why", "bad.example")["window"]
        self.assertEqual({node: part["bad"] for node, part in window["by_node"].items()},
                         {one.json("status")["node"]: 3, two.json("status")["node"]: 2})
        top, = two.json("top")
        self.assertEqual((top["subject"], top["bad"]), ("bad.example", 5))

        status, out, _ = one.ctl("unblock", "bad.example", "--reason", "form fixed")
        self.assertEqual(status, 0)
        self.assertNotIn("not yet shared", out)
        self.wait_answer(two, "pass")
        until(lambda: self.counted(two) == 0, "both count anew")
        self.assertEqual(two.json("why", "bad.example")["events"][0]["change"], "adopted")

    def test_a_person_blocks_everywhere_and_a_restart_knows_it(self):
        redis = self.redis()
        one, two = self.nodes(redis.url)
        one.ctl("block", "ok.example", "--for", "2h", "--reason", "abuse 4711")
        self.wait_answer(two, "reject", "check ok.example")
        self.assertEqual(two.json("blocks")[0]["reason"], "abuse 4711")
        until(lambda: redis.cli("EXISTS", "deferd1:{cases}").strip() == "1", "it is shared")
        redis.kill()
        self.assertEqual(two.stop(), 0)
        two.start()
        self.assertTrue(two.ask("check ok.example").startswith("reject"),
                        "the table lives on its own disk too")

    def test_an_exemption_holds_on_both_nodes_and_after_a_restart(self):
        redis = self.redis()
        one, two = self.nodes(redis.url)
        self.bad_mail(one, 5)
        self.wait_answer(two, "reject")
        status, out, err = one.ctl("exempt", "add", "bad.example", "--for", "30d", "--reason",
                                   "customer 4711")
        self.assertEqual(status, 0, err)
        self.assertIn("exempt until", out)
        self.assertNotIn("not yet shared", out)
        self.wait_answer(one, "pass")
        self.wait_answer(two, "pass")
        self.bad_mail(two, 9)
        until(lambda: self.counted(one) == 14, "it is counted all the while")
        self.assertTrue(two.ask(ASK).startswith("pass"))
        for daemon in (one, two):
            self.assertIn("customer 4711", daemon.ctl("why", "bad.example")[1])
            self.assertEqual(daemon.json("exempt", "list")[0]["reason"], "customer 4711")
            self.assertIn("\ndeferd_exemptions_open 1", daemon.http("/metrics")[1])
        redis.kill()
        self.assertEqual(two.stop(), 0)
        two.start()
        self.assertEqual(two.json("exempt", "list")[0]["subject"], "bad.example")
        self.assertTrue(two.ask(ASK).startswith("pass"))

    def test_an_exemption_that_is_removed_is_removed_on_both(self):
        redis = self.redis()
        one, two = self.nodes(redis.url)
        one.ctl("exempt", "add", "*.example", "--reason", "all of them")
        until(lambda: two.json("exempt", "list"), "the other node knows")
        self.assertEqual(two.ctl("exempt", "remove", "*.example")[0], 0)
        until(lambda: not one.json("exempt", "list"), "it is gone on both")
        self.bad_mail(one, 5)
        self.wait_answer(two, "reject")
        self.assertNotEqual(one.ctl("exempt", "add", "<>", "--reason", "x")[0], 0)

    def test_a_block_without_an_end_of_all_names_below_a_domain(self):
        redis = self.redis()
        one, two = self.nodes(redis.url)
        status, out, err = one.ctl("block", "*.example", "--for", "ever", "--reason", "abuse")
        self.assertEqual(status, 0, err)
        self.assertIn("until a person unblocks it", out)
        self.wait_answer(two, "reject", "check deep.in.example")
        self.assertEqual(two.stop(), 0)
        two.start()
        self.wait_answer(two, "reject", "check deep.in.example")
        self.assertIn("until a person unblocks it", two.ctl("why", "deep.in.example")[1])
        self.assertEqual(two.ctl("unblock", "*.example")[0], 0)
        self.wait_answer(one, "pass", "check deep.in.example")

    def test_status_shows_the_nodes(self):
        redis = self.redis()
        one, two = self.nodes(redis.url)
        shared = until(lambda: (lambda found: len(found["nodes"]) == 2 and found)(self.shared(one)),
                       "both nodes are listed")
        self.assertEqual(shared["trouble"], "none")
        policy = one.json("status")["policy"]["hash"]
        for node in shared["nodes"]:
            self.assertEqual(node["policy_hash"], policy)
            self.assertTrue(node["live"])
            self.assertLess(abs(node["offset_seconds"]), 5)
        status, out, _ = one.ctl("status")
        self.assertEqual(status, 0)
        self.assertEqual(out.count("  node"), 2)
        code, body = one.http("/metrics")
        self.assertEqual(code, 200)
        self.assertIn("\ndeferd_shared_up 1", body)
        self.assertIn("\ndeferd_shared_nodes 2", body)
        self.assertEqual(two.stop(), 0)
        until(lambda: len(self.shared(one)["nodes"]) == 1, "who ends takes the name out")

    def test_a_second_claimant_is_refused_and_told_who_was_first(self):
        redis = self.redis()
        one, = self.nodes(redis.url, 1)
        # The same log, another state directory.
        folder = one.folder
        other = self.node(redis.url, logs=(), wait=False)
        with open(other.config_path, encoding="utf-8") as file:
            config = file.read()
        other.stop()
        other.write("deferd.toml", config.replace("exim = []", f'exim = ["{folder}/mainlog"]'))
        status, _, err = run(DEFERD, "--config", other.config_path)
        self.assertEqual(status, 1)
        self.assertIn(one.json("status")["node"], err)
        self.assertIn("is read by another daemon", err)
        # A copied state directory, another log.
        os.makedirs(other.path("state"), exist_ok=True)
        with open(os.path.join(folder, "state", "node"), encoding="utf-8") as name:
            other.write("state/node", name.read())
        other.write("deferd.toml", config)
        status, _, err = run(DEFERD, "--config", other.config_path)
        self.assertEqual(status, 1)
        self.assertIn("name is in use by another daemon", err)
        # The first itself, killed and started again at once, is let in.
        one.process.kill()
        one.stop()
        one.start()
        one.wait_log("answers are checked")


class Trouble(SharingTest):
    def test_without_redis_local_counts_decide_and_afterwards_sums_are_right(self):
        for how in ("kill", "pause"):
            with self.subTest(how):
                redis = self.redis()
                one, two = self.nodes(redis.url)
                self.bad_mail(one, 2)
                until(lambda: self.counted(two) == 2, "shared")
                getattr(redis, how)()
                one.wait_log("redis: gone" if how == "kill" else "redis: slow")
                self.bad_mail(one, 1)
                self.bad_mail(one, 5, "eve@local.example")
                one.wait_log("local.example: BLOCKED")
                self.assertTrue(one.ask("check local.example").startswith("reject"))
                self.assertEqual(two.ask("check local.example"), "pass")
                before = time.monotonic()
                status, out, _ = one.ctl("block", "manual.example", "--for", "1h", "--reason", "abuse")
                self.assertLess(time.monotonic() - before, 5)
                self.assertEqual(status, 0)
                self.assertIn("not yet shared", out)
                self.assertIn("NOT SHARED", one.ctl("status")[1])
                self.assertIn("\ndeferd_shared_up 0", one.http("/metrics")[1])
                # Killed, it has forgotten everything.
                redis.start() if how == "kill" else redis.resume()
                one.wait_log("shared again")
                self.wait_answer(two, "reject", "check local.example")
                self.wait_answer(two, "reject", "check manual.example")
                self.bad_mail(two, 2)
                self.assertIn("(5/5 (100%))", self.wait_answer(two, "reject"))
                self.wait_answer(one, "reject")

    def test_flushed_under_load_the_sums_are_right_again(self):
        redis = self.redis()
        one, two = self.nodes(redis.url)
        total = 0
        for turn in range(10):
            for daemon in (one, two):
                # Delivered enough that no rule trips.
                daemon.append("".join(
                    message("failed", "bob@busy.example") + message("delivered", "bob@busy.example")
                    + message("delivered", "bob@busy.example") for _ in range(20)))
                total += 20
            redis.cli("FLUSHALL" if turn % 3 == 0 else "PING")
        until(lambda: self.counted(one, "busy.example") == total, "no log was read again, all is there")
        until(lambda: self.counted(two, "busy.example") == total, "on both")

    def test_degraded_modes_are_named_and_end_by_themselves(self):
        modes = [
            ("read-only", ["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
            ("out-of-memory", ["CONFIG", "SET", "maxmemory", "1"],
             ["CONFIG", "SET", "maxmemory", "0"]),
            ("wrong-type", ["SET", "deferd1:{nodes}", "a string"], ["DEL", "deferd1:{nodes}"]),
        ]
        redis = self.redis("--replica-serve-stale-data", "yes")
        one, = self.nodes(redis.url, 1)
        for name, begin, end in modes:
            with self.subTest(name):
                redis.cli(*begin)
                self.bad_mail(one, 1)
                one.wait_log(f"redis: {name}")
                until(lambda name=name: self.shared(one)["trouble"] == name, f"status names {name}")
                code, body = one.http("/metrics")
                self.assertEqual(code, 200)
                self.assertRegex(body, f'deferd_shared_troubles_total{{trouble="{name}"}} [1-9]')
                redis.cli(*end)
                one.wait_log("shared again")
        # It reads its dump, one key after the other.
        redis.cli("CONFIG", "SET", "rdbcompression", "no")
        redis.cli("EVAL", "for i = 1, 300 do redis.call('SET', i, string.rep('x', 2000)) end", "0")
        redis.cli("SAVE")
        redis.kill()
        redis.command += ["--key-load-delay", "10000", "--loading-process-events-interval-bytes",
                          "1024"]
        redis.start()
        one.wait_log("redis: loading")
        one.wait_log("shared again")
        # Scripts that are forgotten are no trouble at all.
        redis.cli("SCRIPT", "FLUSH")
        self.bad_mail(one, 1)
        until(lambda: self.shared(one)["waiting_subjects"] == 0, "put all the same")
        self.assertEqual(self.shared(one)["trouble"], "none")

    def test_a_wrong_password_is_no_reason_not_to_start(self):
        redis = self.redis("--requirepass", "right")
        wrong = redis.url.replace("redis+unix://", "redis+unix://:wrong-secret@")
        one = self.node(wrong)
        line = one.wait_log("redis: password")
        self.assertNotIn("secret", line)
        self.bad_mail(one, 5)
        one.wait_log("BLOCKED")
        self.assertTrue(one.ask(ASK).startswith("reject"))
        # Ready after a while, unchecked for as long as it lasts.
        until(lambda: one.http("/readyz")[0] == 200, "ready without Redis")
        until(lambda: any(cause.startswith("redis: not shared for")
                          for cause in one.json("status")["causes"]), "and it says so")
        self.assertTrue(one.json("check", "good.example")["unchecked"])
        self.assertIn("UNCHECKED: redis: not shared for", one.ctl("why", "good.example")[1])

    def test_the_configuration_that_is_shipped_allows_what_is_needed_and_no_more(self):
        with open(os.path.join(SOURCE, "deploy/redis/deferd.conf"), encoding="utf-8") as file:
            redis = self.redis(config=file.read())
        admin = ("--user", "admin", "-a", "CHANGE-ME-ADMIN", "--no-auth-warning")
        url = redis.url.replace("redis+unix://", "redis+unix://deferd:CHANGE-ME@")
        one, two = self.nodes(url)
        self.bad_mail(one, 3)
        until(lambda: self.counted(two) == 3, "shared")
        self.bad_mail(two, 2)
        for daemon in (one, two):
            self.wait_answer(daemon, "reject")
        until(lambda: len(one.json("why", "bad.example")["case"]["receipt"]["attempts"]) == 5,
              "receipts")
        self.assertEqual(two.json("top")[0]["bad"], 5)
        self.assertEqual(one.ctl("unblock", "bad.example")[0], 0)
        self.wait_answer(two, "pass")
        for daemon in (one, two):
            self.assertEqual(self.shared(daemon)["trouble"], "none")
        mine = ("--user", "deferd", "-a", "CHANGE-ME", "--no-auth-warning")
        for forbidden in (["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["GET", "other"],
                          ["EVAL", "return 1", "0"], ["SHUTDOWN"]):
            self.assertIn("NOPERM", redis.cli(*mine, *forbidden), forbidden)
        self.assertIn("NOAUTH", redis.cli("PING"))
        self.assertIn("noeviction", redis.cli(*admin, "CONFIG", "GET", "maxmemory-policy"))

    def test_a_slow_redis_makes_no_answer_slow(self):
        redis = self.redis()
        one, = self.nodes(redis.url, 1)
        redis.pause()
        self.bad_mail(one, 1)
        one.wait_log("redis: slow")
        slowest = 0
        for _ in range(300):
            before = time.monotonic()
            self.assertEqual(one.ask(ASK), "pass")
            slowest = max(slowest, time.monotonic() - before)
        redis.resume()
        self.assertLess(slowest, 0.25, "no question waited for Redis")


class Sentinels(SharingTest):
    def test_a_failover_is_followed_and_nothing_is_lost(self):
        master = self.redis(port=free_port())
        replica = self.redis("--replicaof", "127.0.0.1", str(master.port), port=free_port())
        until(lambda: "master_link_status:up" in replica.cli("INFO", "replication"), "replicated")
        watched = (f"sentinel monitor mails 127.0.0.1 {master.port} 2\n"
                   "sentinel down-after-milliseconds mails 500\n"
                   "sentinel failover-timeout mails 3000\n")
        sentinels = [self.redis(port=free_port(), program="redis-sentinel", config=watched)
                     for _ in range(3)]
        for sentinel in sentinels:
            until(lambda s=sentinel: "slaves=1,sentinels=3" in s.cli("INFO", "sentinel"),
                  "the sentinels know one another")
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
        one, two = self.nodes(f"redis+sentinel://{hosts}/mails")
        self.bad_mail(one, 3)
        one.ctl("block", "manual.example", "--for", "1h", "--reason", "abuse")
        self.wait_answer(two, "reject", "check manual.example")
        master.process.send_signal(signal.SIGKILL)
        master.process.wait()
        one.wait_log("redis: ")
        one.ctl("unblock", "manual.example")
        until(lambda: "role:master" in replica.cli("INFO", "replication"), "the replica takes over")
        one.wait_log("shared again")
        self.wait_answer(two, "pass", "check manual.example")
        self.bad_mail(two, 2)
        for daemon in (one, two):
            self.assertIn("(5/5 (100%))", self.wait_answer(daemon, "reject"))


    def test_sentinels_that_want_a_password(self):
        master = self.redis(port=free_port())
        watched = (f"sentinel monitor mails 127.0.0.1 {master.port} 1\n"
                   "user default off\nuser watcher on >watch-secret ~* &* +@all\n")
        sentinel = self.redis(port=free_port(), program="redis-sentinel", config=watched)
        line = f'[shared]\nredis = "redis+sentinel://127.0.0.1:{sentinel.port}/mails"\n'
        outside = self.deferd(line)
        self.assertIn("sentinel_password_file", outside.wait_log("redis: "))
        self.assertIn("sentinel_password_file", self.shared(outside)["problem"])
        password = os.path.join(sentinel.folder, "password")
        line += f'sentinel_user = "watcher"\nsentinel_password_file = "{password}"\n'
        with open(password, "w", encoding="ascii") as file:
            file.write("wrong-secret\n")
        one = self.deferd(line)
        self.assertIn("WRONGPASS", one.wait_log("redis: "))
        with open(password, "w", encoding="ascii") as file:
            file.write("watch-secret\n")  # read at each connection: no restart
        one.wait_log("shared again")
        two = self.deferd(line)
        two.wait_log("answers are checked")
        self.bad_mail(one, 5)
        for daemon in (one, two):
            self.assertIn("(5/5 (100%))", self.wait_answer(daemon, "reject"))
        for text in ("".join(one.lines), "".join(two.lines), one.ctl("status", "--json")[1]):
            self.assertNotIn("secret", text)


class Shards(SharingTest):
    def domains_in(self, redis):
        """The domains whose rows this server has."""
        return set(re.findall(r"deferd1:w:\{([^}:]+)\}", redis.cli("KEYS", "deferd1:w:*")))

    def test_domains_are_spread_and_one_server_less_is_said(self):
        first, second = self.redis(), self.redis()
        line = f'[shared]\nredis = ["{first.url}", "{second.url}"]\n'
        one, two = self.deferd(line), self.deferd(line)
        for daemon in (one, two):
            daemon.wait_log("answers are checked")
        domains = {f"d{number}.example" for number in range(12)}
        for domain in domains:
            self.bad_mail(one, 1, f"bob@{domain}")
        until(lambda: self.domains_in(first) | self.domains_in(second) == domains, "all are put")
        here, there = self.domains_in(first), self.domains_in(second)
        self.assertTrue(here and there)
        self.assertFalse(here & there)
        self.assertEqual(self.shared(one)["redis"], f"{first.url}, {second.url}")

        second.kill()
        one.wait_log(f"redis: gone: {second.url}")
        self.assertIn(second.url, self.shared(one)["problem"])
        good, bad = min(here), min(there)
        self.bad_mail(one, 2, f"bob@{good}")
        self.bad_mail(two, 2, f"bob@{good}")
        for daemon in (one, two):
            self.wait_answer(daemon, "reject", f"check {good}")
        self.bad_mail(one, 4, f"bob@{bad}")
        self.wait_answer(one, "reject", f"check {bad}")

        second.start()
        one.wait_log("shared again")
        until(lambda: self.domains_in(second) == there, "everything is put again")


class Cluster(SharingTest):
    def test_two_nodes_share_through_a_cluster_and_follow_a_failover(self):
        cluster = RedisCluster()
        self.addCleanup(cluster.remove)
        one, two = self.nodes(cluster.url)
        self.bad_mail(one, 3)
        until(lambda: self.counted(two) == 3, "the other node shows the counts of both")
        self.bad_mail(two, 2)
        for daemon in (one, two):
            self.assertIn("(5/5 (100%))", self.wait_answer(daemon, "reject"))

        # The master that has the cases dies; its replica takes over.
        of_cases = cluster.master_of("deferd1:{cases}")
        replica = cluster.replica_of(of_cases)
        until(lambda: "deferd1:{cases}" in replica.cli("KEYS", "*"), "replicated")
        of_cases.kill()
        self.assertEqual(one.ctl("unblock", "bad.example", "--reason", "form fixed")[0], 0)
        until(lambda: "role:master" in replica.cli("INFO", "replication"), "the replica took over")
        self.wait_answer(two, "pass")
        two.ctl("block", "ok.example", "--for", "2h", "--reason", "abuse 4711")
        self.wait_answer(one, "reject", "check ok.example")
        for daemon in (one, two):
            until(lambda d=daemon: self.shared(d)["problem"] in (None, ""), "shared again")
        domains = {f"d{number}.example" for number in range(12)}  # rows on every master
        for domain in domains:
            self.bad_mail(one, 3, f"bob@{domain}")
            self.bad_mail(two, 2, f"bob@{domain}")
        for domain in domains:
            for daemon in (one, two):
                self.wait_answer(daemon, "reject", f"check {domain}")
                until(lambda d=daemon, n=domain: self.counted(d, n) == 5, "both nodes' counts")


class Encrypted(SharingTest):
    def authority(self):
        made = Certificates()
        self.addCleanup(made.remove)
        return made

    def node_with(self, url, *lines):
        text = "\n".join([f'redis = "{url}"', *lines])
        return self.deferd(f"[shared]\n{text}\n")

    def test_two_nodes_share_over_tls_and_the_password_is_nowhere(self):
        tls = self.authority()
        redis = self.redis("--user", "deferd", "on", ">right-secret", "~*", "&*", "+@all",
                           port=free_port(), tls=tls)
        password = os.path.join(tls.folder, "password")
        with open(password, "w", encoding="ascii") as file:
            file.write("right-secret\n")
        lines = [f'password_file = "{password}"', f'tls_ca_file = "{tls.ca}"']
        url = redis.url.replace("rediss://", "rediss://deferd@")
        one, two = [self.node_with(url, *lines) for _ in range(2)]
        for daemon in (one, two):
            daemon.wait_log("answers are checked")
        self.bad_mail(one, 3)
        until(lambda: self.counted(two) == 3, "shared")
        self.bad_mail(two, 2)
        for daemon in (one, two):
            self.assertIn("(5/5 (100%))", self.wait_answer(daemon, "reject"))
        self.assertEqual(self.shared(one)["redis"], redis.url)
        self.assertIn(f"ok       shared through {redis.url}", one.ctl("doctor")[1])

        redis.kill()
        one.wait_log("redis: gone")
        redis.start()
        one.wait_log("shared again")

        # Another password: the next connection says so, and the one after it is mended.
        with open(password, "w", encoding="ascii") as file:
            file.write("wrong-secret\n")
        redis.cli("CLIENT", "KILL", "TYPE", "normal")
        self.assertNotIn("secret", one.wait_log("redis: password"))
        backup = one.path("backup")
        status, _, err = run(DEFERCTL, "backup", backup, "--config", one.config_path)
        self.assertEqual(status, 0, err)
        with open(backup, "rb") as file:
            self.assertNotIn(b"secret", file.read())
        for said in (one.ctl("status")[1], one.ctl("--json", "status")[1], one.ctl("doctor")[1],
                     "".join(one.lines)):
            self.assertNotIn("secret", said)
        self.assertIn("NOT SHARED: password", one.ctl("status")[1])
        with open(password, "w", encoding="ascii") as file:
            file.write("right-secret\n")
        one.wait_log("shared again")

    def test_what_is_wrong_with_a_certificate_is_said(self):
        tls, other = self.authority(), self.authority()
        redis = self.redis(port=free_port(), tls=tls)
        plain = self.redis(port=free_port())
        for url, lines, said in (
                (redis.url, [f'tls_ca_file = "{other.ca}"'], "tls_ca_file"),
                (redis.url.replace("127.0.0.1", "localhost"), [f'tls_ca_file = "{tls.ca}"'],
                 "is for 127.0.0.1, not for localhost"),
                (plain.url.replace("redis:", "rediss:"), [f'tls_ca_file = "{tls.ca}"'],
                 "does not speak TLS")):
            one = self.node_with(url, *lines)
            self.assertIn(said, one.wait_log("redis: tls"))
            shared = self.shared(one)
            self.assertEqual(shared["trouble"], "tls")
            self.assertIn(said, shared["problem"])
            self.assertIn("NOT SHARED: tls", one.ctl("status")[1])
            self.assertIn("tls_ keys", one.ctl("doctor")[1])
            self.bad_mail(one, 5)
            self.wait_answer(one, "reject")

    def test_a_failover_is_followed_over_tls(self):
        tls = self.authority()
        master = self.redis(port=free_port(), tls=tls)
        replica = self.redis("--replicaof", "127.0.0.1", str(master.port), port=free_port(),
                             tls=tls)
        until(lambda: "master_link_status:up" in replica.cli("INFO", "replication"), "replicated")
        watched = (f"sentinel monitor mails 127.0.0.1 {master.port} 1\n"
                   "sentinel down-after-milliseconds mails 500\n"
                   "sentinel failover-timeout mails 3000\n")
        sentinel = self.redis(port=free_port(), program="redis-sentinel", config=watched, tls=tls)
        until(lambda: "slaves=1" in sentinel.cli("INFO", "sentinel"), "it knows the replica")
        one = self.node_with(f"rediss+sentinel://127.0.0.1:{sentinel.port}/mails",
                             f'tls_ca_file = "{tls.ca}"')
        one.wait_log("answers are checked")
        self.bad_mail(one, 3)
        master.kill()
        one.wait_log("redis: ")
        until(lambda: "role:master" in replica.cli("INFO", "replication"), "the replica takes over")
        one.wait_log("shared again")
        self.bad_mail(one, 2)
        self.wait_answer(one, "reject")
        until(lambda: "bad.example" in replica.cli("HKEYS", "deferd1:{cases}"), "and is shared")


if __name__ == "__main__":
    unittest.main()
