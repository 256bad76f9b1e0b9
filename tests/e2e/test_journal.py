"""The log is read from systemd's journal: counts, kills, a journal that is gone or may not be read."""

import gzip
import json
import os
import random
import re
import shutil
import unittest
from datetime import datetime, timedelta, timezone

import journal_writer
from deferd_process import ASK, SOURCE, DeferdTest, message, stamp
from journald_process import RUNS, Journald
from redis_server import until

CORPUS = os.path.join(SOURCE, "tests/testdata/postfix/postfix-shortid.log.gz")
TRUTH = os.path.join(SOURCE, "tests/testdata/postfix/postfix-shortid.truth.json")
LINE = re.compile(r"(\w{3} [ \d]\d [\d:]{8}) \S+ ([^ \[:]+)(?:\[\d+\])?: (.*)")

# The log alone has these (see its "expected_differences_from_log").
UNSEEN = {"theta.example": 19, "refused.example": 9}


def corpus():
    """The lines of the corpus as (seconds since 1970, identifier, text), the last of them now. No two
    have one time, as in a journal: files of it are merged by time."""
    lines = []
    with gzip.open(CORPUS, "rt", encoding="utf-8", errors="surrogateescape") as log:
        for line in log:
            when, identifier, text = LINE.fullmatch(line.rstrip("\n")).groups()
            lines.append((datetime.strptime("2026 " + when, "%Y %b %d %H:%M:%S"), identifier, text))
    late = datetime.now().replace(microsecond=0) - lines[-1][0]
    return [((when + late + timedelta(microseconds=n)).timestamp(), identifier, text)
            for n, (when, identifier, text) in enumerate(lines)]


class JournalTest(DeferdTest):
    def start(self, mta="postfix", folder="{folder}/journal", **options):
        daemon = self.deferd(
            logs=(), intake=f'journal = ["{mta}"]\njournal_directory = "{folder}"', **options)
        os.makedirs(daemon.path("journal"), exist_ok=True)
        return daemon

    def write(self, daemon, *entries, name="system.journal"):
        journal_writer.write(daemon.path(f"journal/{name}"), entries)

    def exim(self, text, **options):
        return [journal_writer.entry("exim", line, **options) for line in text.splitlines()]

    def kill(self, daemon):
        daemon.process.kill()
        daemon.stop()

    def attempts(self, daemon, n):
        """Waits until the ledger has so many attempts; a person's command commits what waits."""
        found = []

        def enough():
            nonlocal found
            daemon.ctl("unblock", "nobody.example")
            found = daemon.json("track", "--limit", "0", "--outcome", "delivered,deferred,failed")
            return len(found) >= n
        until(enough, f"{n} attempts")
        return found

    def source(self, daemon):
        source, = daemon.json("status")["sources"]
        return source


class Counts(JournalTest):
    def by_sender(self, rows):
        counts = {}
        for row in rows:
            domain = row["sender"].rpartition("@")[2].lower()
            mine = counts.setdefault(domain, {"delivered": 0, "deferred": 0, "failed": 0})
            mine[row["outcome"]] += 1
        return counts

    def test_kills_while_the_journal_grows_and_rotates(self):
        """kill -9 at any time: equal to replay of the same as a file, and to the counted truth."""
        lines = corpus()
        daemon = self.start()
        rng = random.Random(7)
        at = rotated = 0
        while at < len(lines):
            piece = lines[at:at + rng.randrange(1, 400)]
            at += len(piece)
            self.write(daemon, *(journal_writer.entry(identifier, text, when)
                                 for when, identifier, text in piece))
            if rng.random() < 0.3:
                rotated += 1
                os.rename(daemon.path("journal/system.journal"),
                          daemon.path(f"journal/system@{rotated:04}.journal"))
            if rng.random() < 0.7:
                self.kill(daemon)
                daemon.start()
        self.assertGreater(rotated, 0)
        self.expect_truth(daemon, lines)

    @unittest.skipUnless(RUNS, "systemd-journald runs as root, on a machine with an id")
    def test_a_live_journald_that_rotates_and_is_started_again(self):
        journald = Journald()
        self.addCleanup(journald.remove)
        lines = corpus()
        daemon = self.start(folder=journald.folder)
        for i in range(4):
            for _, identifier, text in lines[i * len(lines) // 4:(i + 1) * len(lines) // 4]:
                journald.write(identifier, text)
            journald.rotate()
            if i == 1:
                self.kill(daemon)
                daemon.start()
            if i == 2:
                journald.stop()
                journald.start()
        self.expect_truth(daemon, lines)

    def expect_truth(self, daemon, lines):
        file = "".join(f"{datetime.fromtimestamp(when, timezone.utc).isoformat()} mx {identifier}: "
                       f"{text}\n" for when, identifier, text in lines)
        whole = daemon.write("whole.log", file)
        replay = daemon.json("replay", "--format", "postfix", "--charge", "sender", whole)
        rows = self.attempts(daemon, replay["attempts"])
        self.assertEqual(len(rows), replay["attempts"], "nothing twice")
        counts = self.by_sender(rows)
        compared = 0
        with open(TRUTH, encoding="utf-8") as truth:
            for domain, true in json.load(truth)["per_sender_domain"].items():
                if domain == "<>" or domain.startswith("xn--"):  # the log has it as it was given
                    continue
                self.assertEqual(counts[domain],
                                 {"delivered": true["delivered"],
                                  "deferred": true["deferred"] + UNSEEN.get(domain, 0),
                                  "failed": true["failed"] + true.get("failed_given_up_by_mta", 0)},
                                 domain)
                compared += 1
        self.assertGreater(compared, 10)
        status = daemon.json("status")
        self.assertEqual(status["sources"][0]["gaps"], 0)
        self.assertEqual(status["lines"]["malformed"], 0)

    def test_exim_by_syslog_is_counted_and_blocked(self):
        daemon = self.start("exim")
        self.write(daemon, *self.exim("".join(message("failed") for _ in range(5))))
        daemon.wait_log("BLOCKED")
        self.assertTrue(daemon.ask(ASK).startswith("reject"))
        # Without a stamp of Exim's own (no syslog_timestamp) the entry's counts.
        bare = message("delivered").replace(stamp() + " ", "")
        self.write(daemon, *self.exim(bare))
        self.assertEqual(len(self.attempts(daemon, 6)), 6)

    def test_what_others_write_as_the_mail_server_is_not_counted(self):
        daemon = self.start("exim")
        self.write(daemon, *self.exim("".join(message("failed") for _ in range(5)), uid=4711),
                   *self.exim(message("delivered")))
        self.assertIn("user 4711", daemon.wait_log("ignoring entries of user"))
        rows = self.attempts(daemon, 1)
        self.assertEqual([row["outcome"] for row in rows], ["delivered"])
        self.assertEqual(daemon.json("blocks"), [])


class Trouble(JournalTest):
    def test_a_journal_that_is_gone_is_a_gap(self):
        daemon = self.start("exim")
        self.write(daemon, *self.exim(message("failed")))
        self.attempts(daemon, 1)
        self.kill(daemon)
        shutil.rmtree(daemon.path("journal"))
        self.write(daemon, *self.exim(message("failed")))
        daemon.start()
        daemon.wait_log("lines were lost")
        self.assertEqual(len(self.attempts(daemon, 2)), 2)
        self.assertEqual(self.source(daemon)["gaps"], 1)
        self.assertIn("journal:exim: lines were lost", daemon.json("status")["causes"][0])
        self.kill(daemon)
        daemon.start()
        daemon.wait_log("answers are unchecked")
        self.assertEqual(self.source(daemon)["gaps"], 1, "told once, and not forgotten")

    def test_no_journal_is_said_with_its_remedy(self):
        daemon = self.start()
        self.assertIn("no journal found", daemon.wait_log("journal:postfix: "))
        self.assertIn("systemd-journald", self.source(daemon)["problem"])
        self.assertIn("journal:postfix", daemon.json("status")["causes"][0])
        self.write(daemon, journal_writer.entry("postfix/smtp", "warning: nothing"))
        daemon.wait_log("journal:postfix: can be read now")
        daemon.wait_log("answers are checked")
        _, metrics = daemon.http("/metrics")
        self.assertIn('deferd_source_readable{path="journal:postfix"} 1', metrics)

    def test_one_that_may_not_be_read_is_said_with_its_remedy(self):
        daemon = self.start()
        self.write(daemon, journal_writer.entry("postfix/smtp", "warning: nothing"))
        daemon.wait_log("answers are checked")
        page = daemon.ctl("doctor")[1]
        self.assertIn("journal:postfix is read to its end", page)
        daemon.stop()
        os.chmod(daemon.path("journal/system.journal"), 0)
        if os.getuid() == 0:  # whom no mode keeps out
            self.as_nobody(daemon)
        daemon.start(wait=False)  # it may not write to our notify socket
        self.assertIn("no permission to read the journal", daemon.wait_log("journal:postfix: "))
        until(lambda: "group systemd-journal" in " ".join(daemon.ctl("doctor")[1].split()), "doctor")
        self.assertEqual(daemon.ctl("doctor")[0], 1)

    def as_nobody(self, daemon):
        for folder, folders, files in os.walk(daemon.folder):
            for name in folders + files:
                if name != "system.journal":
                    os.chown(os.path.join(folder, name), 65534, 65534, follow_symlinks=False)
        os.chown(daemon.folder, 65534, 65534)
        daemon.user = 65534


if __name__ == "__main__":
    unittest.main()
