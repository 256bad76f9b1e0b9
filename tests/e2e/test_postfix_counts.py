"""deferd counts exactly what the sink of a real Postfix answered: through expiry, a filter, a kill."""

import os
import shutil
import tempfile
import unittest

from deferd_process import POLICY, SOURCE, DeferdTest
from postfix_process import Postfix
from redis_server import free_port, until
from smtp_filter import SmtpFilter
from smtp_sink import SmtpSink


class WithPostfix(DeferdTest):
    def begin(self, main="", master="", policy=POLICY):
        """A sink, a Postfix that sends all to it and asks, and a deferd that follows its log."""
        self.sink = SmtpSink()
        self.addCleanup(self.sink.close)
        folder = tempfile.mkdtemp(prefix="deferd-postfix-")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        os.mkdir(os.path.join(folder, "log"))
        log = os.path.join(folder, "log/mail.log")
        with open(log, "w", encoding="utf-8"):
            pass
        os.mkdir(os.path.join(folder, "ask"))
        question_door = os.path.join(folder, "ask/policy.sock")
        self.daemon = self.deferd(logs=(), policy=policy, intake=f'postfix = ["{log}"]',
                                  hook=f'postfix = "unix:{question_door}"')
        self.daemon.wait_log("answers are checked")
        with open(os.path.join(SOURCE, "deploy/postfix/ask.cf"), encoding="utf-8") as file:
            ask = file.read()
        assert "unix:deferd/policy.sock" in ask
        ask = ask.replace("unix:deferd/policy.sock", f"unix:{question_door}")
        self.postfix = Postfix(folder, self.sink.port, main, master, ask)
        self.addCleanup(self.postfix.stop)

    def window(self, domain):
        """What counts now of `domain`, after all that Postfix has logged: (delivered, deferred, failed)."""
        # A message of somebody else comes last, so what was logged before is counted with it.
        until(lambda: self.postfix.log().count(": removed") >= self.removed, "Postfix is done")
        self.last += 1
        self.assertEqual(self.postfix.send("z@last.example", ["z@far.example"], "z@last.example")[0], 250)
        self.removed += 1
        until(lambda: self.counts("last.example")[0] == self.last, "the last message is counted")
        return self.counts(domain)

    last = 0
    removed = 0  # messages that Postfix must have done with

    def counts(self, domain):
        window = self.daemon.json("why", domain)["window"]
        return window["delivered"], window["deferred"], window["failed"]

    def send(self, sender, recipients, login=None, removed=1):
        answer = self.postfix.send(sender, recipients, login)
        if answer[0] == 250:
            self.removed += removed
        return answer


class PostfixAsks(WithPostfix):
    def test_a_block_holds_again_when_deferd_is_back(self):
        self.begin()
        self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")
        code, text = self.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")
        self.assertEqual(code, 550)
        self.assertIn("Mail of bad.example was stopped by the administrator.", text)
        self.daemon.process.kill()
        self.daemon.stop()
        for i in range(3):
            self.assertEqual(
                self.send("bob@bad.example", [f"ann{i}@far.example"], "bob@bad.example")[0], 250)
        self.daemon.start()
        # A process of Postfix that met the dead socket asks again at its next message.
        until(lambda: self.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")[0] == 550,
              "the block holds again")

    def test_what_is_held_stays_in_the_queue(self):
        self.begin(policy=POLICY.replace('submission = "reject"', 'submission = "hold"'))
        self.send("bob@bad.example", [f"nouser{i}@far.example" for i in range(5)],
                  "bob@bad.example", 2)
        self.daemon.wait_log("BLOCKED")
        self.assertEqual(self.postfix.send("bob@bad.example", ["ann@far.example"],
                                           "bob@bad.example")[0], 250)
        self.send("eve@good.example", ["ann@far.example"], "eve@good.example")
        self.assertEqual(self.window("good.example"), (1, 0, 0))
        self.assertEqual(len(os.listdir(os.path.join(self.postfix.folder, "queue/hold"))), 1)
        self.assertNotIn("bob@bad.example", [sender for sender, _ in self.sink.accepted])


class PostfixTells(WithPostfix):
    def test_every_recipient_counts_once_with_what_it_has_now(self):
        self.begin()
        # The domain that pays is the login's, whatever the envelope says.
        self.send("ceo@victim.example", ["ann@far.example", "nouser@far.example", "unsure@far.example"],
                  "bob@bad.example", removed=1)  # the notice; the message itself stays
        until(lambda: self.counts("bad.example") == (1, 1, 1), "three outcomes")
        self.postfix.flush()
        until(lambda: self.postfix.log().count("status=deferred") == 2, "tried again")
        self.assertEqual(self.window("bad.example"), (1, 1, 1))
        self.assertEqual(self.window("victim.example"), (0, 0, 0))
        found = self.daemon.json("track", "--recipient", "unsure@far.example")
        self.assertEqual([row["outcome"] for row in found], ["deferred", "deferred"])

    def test_a_message_that_expires_has_failed_for_those_that_remain(self):
        self.begin(main="maximal_queue_lifetime = 0\n")
        self.send("bob@bad.example", ["ann@far.example", "unsure1@far.example", "unsure2@far.example"],
                  "bob@bad.example", 2)
        self.assertEqual(self.window("bad.example"), (1, 0, 2))

    def test_a_login_travels_through_a_filter_and_nothing_counts_twice(self):
        filtered = SmtpFilter()
        self.addCleanup(filtered.close)
        filtered.port_back = free_port()
        self.begin(main=f"content_filter = smtp:[127.0.0.1]:{filtered.port}\n",
                   master=f"127.0.0.1:{filtered.port_back} inet n - n - - smtpd\n"
                          "  -o content_filter= -o smtpd_authorized_xclient_hosts=\n")
        self.send("bob@bad.example", ["ann@far.example", "nouser@far.example"], "bob@bad.example", 3)
        self.assertEqual(self.window("bad.example"), (1, 0, 1))
        self.assertEqual(self.sink.accepted[0], ("bob@bad.example", "ann@far.example"))

    def test_deferd_killed_on_the_way_counts_the_same(self):
        self.begin()
        for i in range(4):
            if i == 2:
                self.daemon.process.kill()
                self.daemon.stop()
            self.assertEqual(
                self.send("bob@bad.example", [f"nouser{i}@far.example", "unsure@far.example"],
                          "bob@bad.example", 1)[0], 250)
        self.daemon.start()
        self.assertEqual(self.window("bad.example"), (0, 4, 4))


if __name__ == "__main__":
    if os.getuid() != 0:  # master runs as root alone
        os.execvp("sudo", ["sudo", "-n", "--preserve-env=DEFERD_BIN,DEFERD_SOURCE,DEFERD_POSTFIX",
                           "python3", *os.sys.argv])
    unittest.main()
