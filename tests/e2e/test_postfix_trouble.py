"""A real Postfix, its smtpd chrooted as Debian's is, while deferd is purged, stopped, or its log is rotated;
and mail that is not ours."""

import os
import re
import signal
import unittest

from deferd_process import POLICY, SOURCE
from postfix_process import PostfixTest
from redis_server import until

BOB = "bob@bad.example"


class Shipped(unittest.TestCase):
    def test_every_question_fails_open_and_fast(self):
        """Postfix waits 100 s and then refuses, unless it is told otherwise."""
        found = 0
        folder = os.path.join(SOURCE, "deploy/postfix")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                for line in file:
                    if line.startswith("#") or "check_policy_service" not in line:
                        continue
                    found += 1
                    options = re.search(r"\{ (.*) \}", line)[1].split(", ")
                    self.assertEqual(options[1:], ["timeout=2s", "try_limit=1", "default_action=DUNNO"], name)
        self.assertGreater(found, 0)


class Chrooted(PostfixTest):
    def begin(self, **options):
        super().begin(chroot="y", **options)

    def status(self):
        return self.daemon.json("status")

    def refused(self, verdict):
        """bob's domain, blocked by its bounces, sends two more messages."""
        self.begin(policy=POLICY.replace('submission = "reject"', f'submission = "{verdict}"'))
        self.send(BOB, [f"nouser{i}@far.example" for i in range(5)], BOB, 2)
        self.daemon.wait_log("BLOCKED")
        answers = [self.postfix.send(BOB, recipients, BOB)
                   for recipients in (["ann@far.example"], ["ann@far.example", "joe@far.example"])]
        self.assertEqual(self.window("bad.example"), (0, 0, 5))
        self.assertNotIn(BOB, [sender for sender, _ in self.sink.accepted])
        self.assertEqual(self.send("eve@good.example", ["ann@far.example"], "eve@good.example")[0], 250)
        self.assertEqual(self.send(BOB, ["ann@far.example"])[0], 250, "from outside")
        self.assertEqual(self.window("good.example"), (1, 0, 0))
        # What was refused left the queue without a further word.
        until(lambda: self.status()["sources"][0]["open_messages"] == 0, "no message is open")
        return answers

    def test_reject(self):
        for code, text in self.refused("reject"):
            self.assertEqual(code, 550)
            self.assertIn("Domain bad.example has exceeded the max defers and failures per hour", text)
        self.assertEqual(len(self.daemon.json("track", "--outcome", "rejected")), 2)

    def test_discard(self):
        for code, _ in self.refused("discard"):
            self.assertEqual(code, 250)
        self.assertEqual(len(self.daemon.json("track", "--outcome", "discarded")), 2)

    def test_a_forged_sender_into_a_forward_blocks_nobody(self):
        # A forwarder as it comes, and one behind a rewriting of senders (SRS).
        forwards = ("virtual_alias_domains = plain.example srs.example\n"
                    "virtual_alias_maps = regexp:{folder}/postfix/forwards\n"
                    "sender_canonical_maps = regexp:{folder}/postfix/rewrite\n"
                    "sender_canonical_classes = envelope_sender\n")
        self.begin(main=forwards)
        for name, text in (("forwards", r"/^(.*)@(plain|srs)\.example$/ ${1}@far.example"),
                           ("rewrite", r"/^ceo2@victim.example$/ SRS0=HHH=TT=victim.example=ceo2@srs.example")):
            with open(os.path.join(self.postfix.folder, "postfix", name), "w", encoding="utf-8") as file:
                file.write(text + "\n")
        for i in range(6):
            self.send("ceo@victim.example", [f"nouser{i}@plain.example"], removed=2)
            self.send("ceo2@victim.example", [f"nouser{i}@srs.example"], removed=2)
        self.send("ceo2@victim.example", ["ann@srs.example"])
        self.assertEqual(self.window("victim.example"), (0, 0, 0))
        self.assertEqual(self.counts("forward:plain.example"), (0, 0, 6))
        self.assertEqual(self.counts("forward:srs.example"), (1, 0, 6))
        self.assertEqual(self.daemon.json("blocks"), [])
        self.assertIn(("SRS0=HHH=TT=victim.example=ceo2@srs.example", "ann@far.example"), self.sink.accepted)

    def test_purged_midway_mail_flows(self):
        self.begin()
        self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")
        self.assertEqual(self.send(BOB, ["ann@far.example"], BOB)[0], 550)
        self.daemon.process.kill()  # the socket stays and leads nowhere
        self.daemon.stop()
        self.assertEqual(self.send(BOB, ["ann@far.example"], BOB)[0], 250)
        os.unlink(os.path.join(self.postfix.folder, "queue/deferd/policy.sock"))
        self.assertEqual(self.send(BOB, ["joe@far.example"], BOB)[0], 250)
        until(lambda: len(self.sink.accepted) == 2, "both are delivered")

    def test_a_hung_deferd_is_asked_once_a_message_and_mail_flows(self):
        self.begin()
        before = self.status()["questions"]["answered"]
        self.daemon.process.send_signal(signal.SIGSTOP)
        recipients = [f"ann{i}@far.example" for i in range(5)]
        self.assertEqual(self.send(BOB, recipients, BOB)[0], 250)
        until(lambda: len(self.sink.accepted) == 5, "it is delivered")
        self.daemon.process.send_signal(signal.SIGCONT)
        # The question was left in the socket.
        until(lambda: self.status()["questions"]["answered"] > before, "it wakes up")
        self.assertEqual(self.status()["questions"]["answered"], before + 1)
        self.assertEqual(self.window("bad.example"), (5, 0, 0))

    def test_a_log_rotated_midway_counts_the_same(self):
        self.begin()
        log = self.postfix.log_path

        def send(number):
            self.assertEqual(self.send(BOB, [f"nouser{number}@far.example", f"ann{number}@far.example"], BOB,
                                       removed=2)[0], 250)

        send(1)
        until(lambda: self.counts("bad.example") == (1, 0, 1), "the first is counted")
        os.rename(log, log + ".1")
        send(2)  # Postfix goes on in the renamed file
        self.postfix.master.send_signal(signal.SIGHUP)  # postfix reload
        until(lambda: self.starts_log(log), "Postfix begins a new log")
        send(3)
        until(lambda: self.counts("bad.example") == (3, 0, 3), "all are counted")
        self.assertEqual(self.status()["sources"][0]["gaps"], 0)

    def starts_log(self, path):
        """It writes when something happens: a session."""
        self.postfix.listens()
        return os.path.exists(path)


if __name__ == "__main__":
    if os.getuid() != 0:  # master runs as root alone
        os.execvp("sudo", ["sudo", "-n", "--preserve-env=DEFERD_BIN,DEFERD_SOURCE,DEFERD_POSTFIX",
                           "python3", *os.sys.argv])
    unittest.main()
