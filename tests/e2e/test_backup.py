"""Backup and restore with a running deferd, and who may write state.db."""

import glob
import json
import os
import re
import shutil
import unittest

from deferd_process import DEFERCTL, DEFERD, ASK, DeferdTest, message, run
from notice_sinks import Webhook
from redis_server import until


def open_for_writing(pid, path):
    """How many descriptors of a process can write to the file."""
    found = 0
    for name in glob.glob(f"/proc/{pid}/fd/*"):
        try:
            if os.path.realpath(name) != os.path.realpath(path):
                continue
            with open(name.replace("/fd/", "/fdinfo/"), encoding="ascii") as info:
                flags = int(re.search(r"flags:\s*(\d+)", info.read())[1], 8)
        except FileNotFoundError:
            continue  # closed meanwhile
        found += flags & os.O_ACCMODE != os.O_RDONLY
    return found


class Backup(DeferdTest):
    def offline(self, daemon, verb, *arguments):
        return run(DEFERCTL, verb, *arguments, "--config", daemon.config_path)

    def backup(self, daemon, name="backup"):
        file = daemon.path(name)
        status, out, err = self.offline(daemon, "backup", file)
        self.assertEqual(status, 0, err)
        self.assertIn("checked", out)
        return file

    def caught_up(self, daemon, attempts):
        """Waits until so many failures of bad.example are counted."""
        for _ in range(2000):
            if daemon.json("why", "bad.example")["window"]["failed"] >= attempts:
                return
        raise AssertionError("not caught up")

    def test_nothing_is_lost_or_doubled(self):
        daemon = self.blocked()
        self.caught_up(daemon, 5)
        daemon.json("block", "hand.example", "--for", "2h", "--reason", "abuse")
        file = self.backup(daemon)
        daemon.append("".join(message("failed") for _ in range(3)))
        self.caught_up(daemon, 8)
        daemon.json("block", "later.example", "--for", "2h", "--reason", "abuse")
        daemon.append(message("delivered"))

        status, _, err = self.offline(daemon, "restore", file)
        self.assertEqual(status, 1)
        self.assertIn("another deferd uses this state_dir", err)

        daemon.stop()
        status, out, err = self.offline(daemon, "restore", file)
        self.assertEqual(status, 0, err)
        kept = re.search(r"\S+before-restore\S+", out)[0]
        self.assertTrue(os.path.exists(kept), out)
        daemon.start()
        daemon.wait_log("answers are checked")
        # The log since the backup is read again, each line once.
        self.caught_up(daemon, 8)
        daemon.append(message("failed"))
        self.caught_up(daemon, 9)
        why = daemon.json("why", "bad.example")["window"]
        self.assertEqual((why["failed"], why["delivered"]), (9, 1))
        self.assertEqual(len(daemon.json("track", "--outcome", "failed", "--limit", "0")), 9)
        self.assertEqual({block["subject"] for block in daemon.json("blocks")},
                         {"bad.example", "hand.example"}, "a later word of a person is lost")
        self.assertTrue(daemon.ask(ASK).startswith("reject"))

        # And back to the state that was set aside.
        daemon.stop()
        self.assertEqual(self.offline(daemon, "restore", kept)[0], 0)
        daemon.start()
        daemon.wait_log("answers are checked")
        self.assertIn("later.example", {block["subject"] for block in daemon.json("blocks")})
        self.caught_up(daemon, 9)
        self.assertEqual(daemon.json("why", "bad.example")["window"]["failed"], 9)

    def test_backups_while_the_log_grows(self):
        daemon = self.blocked()
        files = []
        for number in range(5):
            daemon.append("".join(message("failed") for _ in range(200)))
            files.append(self.backup(daemon, f"backup{number}"))
        total = 5 + 1000
        self.caught_up(daemon, total)
        daemon.stop()
        for file in files[::2]:
            self.assertEqual(self.offline(daemon, "restore", file)[0], 0)
            daemon.start()
            daemon.wait_log("answers are checked")
            self.caught_up(daemon, total)
            self.assertEqual(daemon.json("why", "bad.example")["window"]["failed"], total)
            daemon.stop()

    def test_a_rotated_log_is_found_again_and_a_lost_one_is_a_gap(self):
        for lost in (False, True):
            with self.subTest(lost=lost):
                daemon = self.blocked()
                self.caught_up(daemon, 5)
                file = self.backup(daemon)
                daemon.append("".join(message("failed") for _ in range(2)))
                self.caught_up(daemon, 7)
                daemon.stop()
                os.rename(daemon.log_path, daemon.log_path + ".1")
                if lost:
                    os.unlink(daemon.log_path + ".1")
                daemon.write("mainlog", message("failed"))
                self.assertEqual(self.offline(daemon, "restore", file)[0], 0)
                daemon.start()
                daemon.wait_log("gap" if lost else "answers are checked")
                want = 6 if lost else 8
                self.caught_up(daemon, want)
                self.assertEqual(daemon.json("why", "bad.example")["window"]["failed"], want)
                self.assertEqual(daemon.json("status")["sources"][0]["gaps"], int(lost))

    def test_another_machine_in_its_place(self):
        daemon = self.blocked()
        self.caught_up(daemon, 5)
        node = daemon.json("status")["node"]
        file = self.backup(daemon)
        daemon.stop()
        shutil.rmtree(daemon.path("state"))
        os.mkdir(daemon.path("state"))
        self.assertEqual(self.offline(daemon, "restore", file)[0], 0)
        daemon.start()
        daemon.wait_log("answers are checked")
        status = daemon.json("status")
        self.assertEqual(status["node"], node)
        self.assertGreater(status["incarnation"], 100)
        self.assertEqual(daemon.json("why", "bad.example")["window"]["failed"], 5)

    def test_a_notice_that_nobody_has_read_yet(self):
        hook = Webhook()
        self.addCleanup(hook.close)
        hook.status = 503
        daemon = self.blocked(config=f"""
[notice.hook]
type = "webhook"
url = "{hook.url}"
allow_private = true
batch = "1s"
on = ["blocked"]
""")
        until(lambda: hook.requests, "the first attempt")
        file = self.backup(daemon)
        daemon.stop()
        shutil.rmtree(daemon.path("state"))
        os.mkdir(daemon.path("state"))
        self.assertEqual(self.offline(daemon, "restore", file)[0], 0)
        hook.requests.clear()
        hook.status = 200
        daemon.start()
        until(lambda: daemon.json("status")["notices"]["delivered"] == 1, "it is delivered")
        (event,) = (event for _, body in hook.requests for event in json.loads(body)["events"])
        self.assertEqual(event["subject"], "bad.example")

    def test_through_pipes(self):
        daemon = self.blocked()
        self.caught_up(daemon, 5)
        piped = daemon.path("piped")
        status, _, err = run("sh", "-c", f'"$0" backup - --config {daemon.config_path} > {piped}', DEFERCTL)
        self.assertEqual(status, 0, err)
        daemon.stop()
        status, _, err = run("sh", "-c", f'"$0" restore - --config {daemon.config_path} < {piped}', DEFERCTL)
        self.assertEqual(status, 0, err)
        daemon.start()
        self.assertEqual(daemon.json("why", "bad.example")["window"]["failed"], 5)

    def test_as_root_for_deferds_user(self):
        """What root puts back is deferd's own, and no link leads root astray."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        daemon = self.blocked()
        self.caught_up(daemon, 5)
        file = self.backup(daemon)
        daemon.stop()
        state = daemon.path("state")
        treasure = daemon.write("treasure", "root's own")
        shutil.chown(state, "nobody")
        for name in os.listdir(state):
            shutil.chown(os.path.join(state, name), "nobody")
        os.symlink(treasure, os.path.join(state, "node.new"))
        status, out, _ = self.offline(daemon, "restore", file)
        self.assertEqual(status, 1, out)
        with open(treasure, encoding="ascii") as text:
            self.assertEqual(text.read(), "root's own")
        os.unlink(os.path.join(state, "node.new"))
        status, _, err = self.offline(daemon, "restore", file)
        self.assertEqual(status, 0, err)
        for name in ("state.db", "node", "incarnation"):
            self.assertNotEqual(os.stat(os.path.join(state, name)).st_uid, 0, name)

    def test_one_connection_writes(self):
        """SQLite 3.40 may damage a log of changes that two connections write."""
        daemon = self.blocked()
        self.caught_up(daemon, 5)
        daemon.json("track", "bad.example")
        path = daemon.path("state/state.db")
        self.assertEqual(open_for_writing(daemon.process.pid, path), 1)
        # Every verb of deferctl, and the other ways to start deferd, while it runs.
        trace = daemon.path("trace")
        if shutil.which("strace"):
            for command in ([DEFERCTL, "backup", daemon.path("b"), "--config", daemon.config_path],
                            [DEFERCTL, "--socket", daemon.admin, "doctor"],
                            [DEFERCTL, "--socket", daemon.admin, "why", "bad.example", "--verify"],
                            [DEFERD, "--config", daemon.config_path, "--check"],
                            [DEFERD, "--config", daemon.config_path]):
                run("strace", "-f", "-e", "trace=open,openat", "-o", trace, *command)
                with open(trace, encoding="utf-8", errors="replace") as lines:
                    for line in lines:
                        if "state.db\"" in line:
                            self.assertIn("O_RDONLY", line, command)
        self.assertEqual(open_for_writing(daemon.process.pid, path), 1)


if __name__ == "__main__":
    unittest.main()
