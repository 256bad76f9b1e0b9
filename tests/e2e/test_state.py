"""What survives: restarts, kill -9, rotation by the real logrotate, a full disk, a damaged store."""

import os
import random
import resource
import sqlite3
import subprocess
import unittest

from deferd_process import ASK, DEFERD, DeferdTest, message, message_id, run, stamp


class State(DeferdTest):
    def db(self, daemon):
        return daemon.path("state/state.db")

    def kill(self, daemon):
        daemon.process.kill()
        daemon.stop()

    def caught_up(self, daemon, attempts):
        """Waits until the ledger has so many attempts; a person's command commits what waits."""
        for _ in range(2000):
            rows = daemon.json("track", "--limit", "0", "--outcome", "delivered,deferred,failed")
            if len(rows) >= attempts:
                return rows
            daemon.ctl("unblock", "nobody.example")
        raise AssertionError(f"{len(rows)} of {attempts} attempts")

    def test_a_block_outlives_a_restart(self):
        daemon = self.blocked()
        before, = daemon.json("blocks")
        daemon.ctl("block", "hand.example", "--for", "2h", "--reason", "abuse")
        daemon.stop()
        daemon.start()
        self.assertTrue(daemon.ask(ASK).startswith("reject"), "known before the log is read")
        after = {block["subject"]: block for block in daemon.json("blocks")}
        self.assertEqual(after["bad.example"], before)
        self.assertEqual(after["hand.example"]["reason"], "abuse")
        self.assertEqual(daemon.json("why", "bad.example")["window"]["failed"], 5)

    def test_a_decision_outlives_a_kill_at_once(self):
        daemon = self.blocked()
        daemon.ctl("unblock", "bad.example", "--reason", "form fixed")
        daemon.ctl("block", "hand.example", "--for", "2h", "--reason", "abuse")
        self.kill(daemon)
        daemon.start()
        daemon.wait_log("answers are checked")
        self.assertEqual([b["subject"] for b in daemon.json("blocks")], ["hand.example"])
        self.assertEqual(daemon.json("why", "bad.example")["events"][0]["reason"], "form fixed")
        daemon.append(message("failed"))
        self.caught_up(daemon, 6)
        self.assertEqual(daemon.ask(ASK), "pass", "only what came later counts")

    def test_the_receipt_names_the_attempts(self):
        daemon = self.blocked()
        self.caught_up(daemon, 5)
        receipt = daemon.json("why", "bad.example")["case"]["receipt"]
        self.assertEqual((receipt["counts"]["bad"], receipt["share"]), (5, "5 bad of 5 (100%)"))
        self.assertEqual(len(receipt["attempts"]), 5)
        self.assertTrue(receipt["policy_hash"])
        self.assertIn("User unknown", receipt["attempts"][0]["reply"])
        page = daemon.ctl("why", "bad.example", "--all")[1]
        self.assertIn("The attempts that caused it", page)
        self.assertIn(receipt["attempts"][0]["recipient"], page)

    def test_track_finds_by_every_filter(self):
        daemon = self.deferd(config='[ledger]\nsubjects = true\n')
        name = message_id()
        now = stamp()
        daemon.append(
            f'{now} {name} <= Ann@Good.example H=(pc) [192.0.2.1] P=esmtpsa '
            f'A=plain:ann@good.example S=300 T="Lunch?" for carl@far.example\n'
            f"{now} {name} == carl@far.example R=dnslookup T=remote_smtp defer (-44) "
            "H=mx.far.example [198.51.100.9]: 451 4.7.1 try later\n"
            f"{now} {name} => carl@far.example R=dnslookup T=remote_smtp H=mx.far.example "
            '[198.51.100.9] C="250 OK"\n'
            f"{now} {name} Completed\n" + "".join(message("failed") for _ in range(3)))
        self.caught_up(daemon, 5)
        for filters in (["good.example"], ["--domain", "GOOD.example"], ["--sender", "ann@good.example"],
                        ["--recipient", "Carl@far.example"], ["--id", name], [name],
                        ["--host", "mx.far.example"], ["--host", "198.51.100.9"],
                        ["carl@far.example"], ["login:ann@good.example"]):
            rows = daemon.json("track", *filters)
            self.assertEqual({row["id"] for row in rows}, {name}, filters)
        self.assertEqual([row["outcome"] for row in daemon.json("track", name)],
                         ["queued", "deferred", "delivered"], "a life is told from its beginning")
        self.assertEqual(daemon.json("track", name)[0]["mail_subject"], "Lunch?")
        self.assertEqual(len(daemon.json("track", "--outcome", "failed")), 3)
        self.assertEqual(len(daemon.json("track", "--outcome", "bad")), 4)
        self.assertEqual(daemon.json("track", "--until", "1h"), [])
        row = daemon.json("track", "--outcome", "deferred")[0]
        for field in ("time", "node", "id", "sender", "subject", "recipient", "host", "outcome",
                      "class", "reply"):
            self.assertIn(field, row)
        first = daemon.json("track", "--outcome", "failed", "--limit", "2")
        rest = daemon.json("track", "--outcome", "failed", "--limit", "2", "--before",
                           str(first[-1]["row"]))
        self.assertEqual((len(first), len(rest)), (2, 1))
        page = daemon.ctl("track", name)[1]
        self.assertIn("451 4.7.1 try later", page)
        self.assertTrue(all(len(line) <= 80 for line in page.splitlines()), page)
        self.assertEqual(daemon.ctl("track", "--outcome", "lost")[0], 1)
        self.assertEqual(daemon.ctl("track", "--since", "yesterday")[0], 1)

    def test_without_a_ledger(self):
        daemon = self.blocked(config='[ledger]\nkeep = "off"\n')
        status, _, err = daemon.ctl("track", "bad.example")
        self.assertEqual(status, 1)
        self.assertIn("[ledger]", err)
        self.assertEqual(daemon.json("why", "bad.example")["case"]["receipt"]["attempts"], [])

    def test_kills_while_the_log_grows_and_rotates(self):
        """kill -9 at any time, logrotate in each of its ways: equal to replay."""
        for seed, how in enumerate(["create", "copytruncate", "create\n  compress",
                                    "create\n  compress\n  delaycompress",
                                    "create\n  dateext\n  dateformat -%Y%m%d-%s"]):
            with self.subTest(how=how):
                self.kills_and_rotations(random.Random(seed), how)

    def kills_and_rotations(self, rng, how):
        daemon = self.deferd()
        conf = daemon.write("logrotate.conf", f"""
"{daemon.log_path}" {{
  rotate 50
  size 1
  missingok
  {how}
}}
""")
        wrote = []
        count = {"delivered": 0, "deferred": 0, "failed": 0}

        def append():
            for _ in range(rng.randrange(1, 12)):
                outcome = rng.choice(["delivered", "delivered", "deferred", "failed"])
                text = message(outcome, login=f"u@d{rng.randrange(5)}.example")
                count[outcome] += 1
                wrote.append(text)
                at = rng.randrange(len(text))
                daemon.append(text[:at])
                daemon.append(text[at:])

        def rotate():
            done = subprocess.run(["logrotate", "--force", "--state",
                                   daemon.path("logrotate.state"), conf],
                                  capture_output=True, text=True, check=False)
            # Twice within the stamp of a file's name: it rotates next time.
            if "already exists" not in done.stderr:
                self.assertEqual(done.returncode, 0, done.stderr)

        # What a first start finds is another matter: of the rotated files it reads the newest alone.
        append()
        self.caught_up(daemon, sum(count.values()))
        for _ in range(20):
            append()
            if rng.random() < 0.4:
                # What is compressed before it was ever opened may be told as a gap, though it is
                # found: so the daemon has seen it.
                self.caught_up(daemon, sum(count.values()))
                rotate()
                append()
            self.kill(daemon)
            while rng.random() < 0.4:
                append()
                rotate()
            if rng.random() < 0.5:
                append()
            daemon.start()
        total = sum(count.values())
        rows = self.caught_up(daemon, total)
        self.assertEqual(len(rows), total, "nothing twice")
        whole = daemon.write("whole.log", "".join(wrote))
        replay = daemon.json("replay", "--policy", daemon.policy_path, whole)
        self.assertEqual(replay["outcomes"], count)
        live = {one["subject"]: one for one in daemon.json("top", "--limit", "0")}
        for domain in replay["domains"]:
            for outcome, n in domain["counted"].items():
                self.assertEqual(live[domain["domain"]][outcome], n, domain["domain"])
        blocks = {(b["subject"], b["rule"], b["count"], b["percent"])
                  for b in daemon.json("blocks", "--all")}
        replayed = {(d["domain"], b["rule"], b["count"], b["percent"])
                    for d in replay["domains"] for b in d["blocks"]}
        self.assertEqual(blocks, replayed)
        self.assertEqual(daemon.json("status")["sources"][0]["gaps"], 0)

    def test_lines_that_are_lost_are_told(self):
        daemon = self.blocked()
        self.caught_up(daemon, 5)
        self.kill(daemon)
        os.unlink(daemon.log_path)
        daemon.write("mainlog", message("delivered"))
        daemon.start()
        daemon.wait_log("lines were lost")
        self.caught_up(daemon, 6)
        status = daemon.json("status")
        self.assertEqual(status["sources"][0]["gaps"], 1)
        self.assertIn("lines were lost", status["causes"][0])
        self.kill(daemon)
        daemon.start()
        daemon.wait_log("answers are unchecked")
        self.assertEqual(daemon.json("status")["sources"][0]["gaps"], 1, "and not forgotten")

    def test_a_full_disk(self):
        """Counting and answers go on, it is said, and afterwards nothing is missing."""
        daemon = self.deferd()
        daemon.wait_log("answers are checked")
        daemon.append(message("failed"))
        self.caught_up(daemon, 1)
        limit = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (0, limit[1]))
        daemon.append("".join(message("failed") for _ in range(4)))
        daemon.wait_log("BLOCKED")
        daemon.wait_log("cannot be saved")
        self.assertTrue(daemon.ask(ASK).startswith("reject"))
        self.assertIn("cannot be saved", " ".join(daemon.json("status")["causes"]))
        self.assertTrue(daemon.json("check", "other.example")["unchecked"])
        status, out, _ = daemon.ctl("block", "hand.example", "--for", "2h", "--reason", "abuse")
        self.assertEqual(status, 0)
        self.assertIn("not yet saved", out)
        daemon.append("".join(message("deferred") for _ in range(30)))
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, limit)
        daemon.wait_log("saved again")
        self.assertEqual(len(self.caught_up(daemon, 35)), 35)
        self.kill(daemon)
        daemon.start()
        daemon.wait_log("answers are checked")
        self.assertEqual(len(daemon.json("track", "--outcome", "bad", "--limit", "0")), 35)
        self.assertEqual({b["subject"] for b in daemon.json("blocks")},
                         {"bad.example", "hand.example"})

    def test_killed_on_a_full_disk(self):
        daemon = self.deferd()
        daemon.wait_log("answers are checked")
        limit = resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (0, limit[1]))
        daemon.append("".join(message("failed") for _ in range(5)))
        daemon.wait_log("BLOCKED")
        self.kill(daemon)
        daemon.start()
        daemon.wait_log("BLOCKED")
        self.assertEqual(len(self.caught_up(daemon, 5)), 5)

    def test_a_damaged_store_is_told_and_set_aside_when_asked(self):
        daemon = self.blocked()
        self.caught_up(daemon, 5)
        daemon.stop()
        for name in os.listdir(daemon.path("state")):
            if name.startswith("state.db-"):
                os.unlink(daemon.path(f"state/{name}"))
        with open(self.db(daemon), "r+b") as file:
            file.write(b"this was a database once" * 10)
        status, _, err = run(DEFERD, "--config", daemon.config_path)
        self.assertEqual(status, 1)
        self.assertIn("state.db", err)
        self.assertIn("--set-aside-damaged-state", err)
        daemon.arguments = ["--set-aside-damaged-state"]
        daemon.start()
        daemon.wait_log("BLOCKED")
        self.assertTrue(any(".damaged-" in name for name in os.listdir(daemon.path("state"))))

    def test_a_store_that_was_cut_off_is_no_fresh_start(self):
        daemon = self.blocked()
        daemon.ctl("block", "hand.example", "--for", "2h", "--reason", "abuse")
        for size in (0, 1, 99):
            daemon.stop()
            for name in os.listdir(daemon.path("state")):
                if name.startswith("state.db-"):
                    os.unlink(daemon.path(f"state/{name}"))
            os.truncate(self.db(daemon), size)
            status, _, err = run(DEFERD, "--config", daemon.config_path)
            self.assertEqual(status, 1, size)
            self.assertIn(f"it is cut off ({size} byte", err)
            self.assertIn("--set-aside-damaged-state", err)
            daemon.arguments = ["--set-aside-damaged-state"]
            daemon.start()
            daemon.arguments = []
            self.assertTrue(any(".damaged-" in name for name in os.listdir(daemon.path("state"))))

    def test_a_flipped_bit_in_a_decision(self):
        daemon = self.deferd()
        daemon.ctl("block", "hand.example", "--for", "2h", "--reason", "abuse")
        daemon.stop()
        with open(self.db(daemon), "rb") as file:
            good = file.read()
        self.assertIn(b'hand.example', good)
        at = good.rindex(b'hand.example')
        with open(self.db(daemon), "wb") as file:
            file.write(good[:at] + b'i' + good[at + 1:])
        status, _, err = run(DEFERD, "--config", daemon.config_path)
        self.assertEqual(status, 1)
        self.assertIn("checksum", err)
        self.assertIn("--set-aside-damaged-state", err)
        with open(self.db(daemon), "wb") as file:
            file.write(good)
        daemon.start()
        self.assertEqual([b["subject"] for b in daemon.json("blocks")], ["hand.example"])

    def test_a_store_that_is_gone_is_told(self):
        daemon = self.blocked()
        self.caught_up(daemon, 5)
        daemon.stop()
        os.unlink(self.db(daemon))
        daemon.start()
        daemon.wait_log("is missing, although deferd has run here before")
        self.assertEqual(len(self.caught_up(daemon, 5)), 5)

    def test_damage_that_opening_does_not_meet(self):
        daemon = self.deferd()
        daemon.append("".join(message("failed") for _ in range(400)))
        self.caught_up(daemon, 400)
        daemon.stop()
        size = os.path.getsize(self.db(daemon))
        with open(self.db(daemon), "r+b") as file:
            file.seek(size - 20 * 4096)
            file.write(os.urandom(15 * 4096))
        daemon.arguments = ["--set-aside-damaged-state"]
        daemon.start()
        self.assertTrue(any(".damaged-" in name for name in os.listdir(daemon.path("state"))))
        self.assertEqual(len(self.caught_up(daemon, 400)), 400)

    def test_a_store_of_a_newer_version(self):
        daemon = self.blocked()
        daemon.stop()
        database = sqlite3.connect(self.db(daemon))
        database.execute("PRAGMA user_version = 99")
        database.close()
        status, _, err = run(DEFERD, "--config", daemon.config_path, "--set-aside-damaged-state")
        self.assertEqual(status, 1)
        self.assertIn("newer", err)
        self.assertEqual([n for n in os.listdir(daemon.path("state")) if "damaged" in n], [])

    def test_two_daemons(self):
        daemon = self.deferd()
        status, _, err = run(DEFERD, "--config", daemon.config_path)
        self.assertEqual(status, 1)
        self.assertIn(f"pid {daemon.process.pid}", err)


if __name__ == "__main__":
    unittest.main()
