"""A real Postfix asks deferd, and deferd reads that Postfix's log."""

import os
import unittest

from postfix_process import PostfixTest
from redis_server import until


class BothWays(PostfixTest):
    def setUp(self):
        self.begin()

    def question_count(self):
        return self.daemon.json("status")["questions"]["answered"]

    def test_a_hacked_login_is_blocked_by_its_own_bounces(self):
        for i in range(5):
            self.assertEqual(
                self.send("bob@bad.example", [f"nouser{i}@far.example"], "bob@bad.example")[0], 250)
        self.daemon.wait_log("BLOCKED")
        until(lambda: self.counts("bad.example") == (0, 0, 5), "its own bounces count")
        code, text = self.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")
        self.assertEqual(code, 550)
        self.assertIn("Domain bad.example has exceeded the max defers and failures per hour "
                      "(5/5 (100%)) allowed. Message rejected, try again after", text)
        # Another login, and mail from outside that claims to be of the blocked domain, go their way.
        self.assertEqual(self.send("eve@good.example", ["ann@far.example", "joe@far.example"],
                                   "eve@good.example")[0], 250)
        self.assertEqual(self.send("bob@bad.example", ["ann@far.example"])[0], 250)
        until(lambda: self.counts("good.example") == (2, 0, 0), "the other's mail is counted")
        self.assertEqual(self.counts("bad.example"), (0, 0, 5), "our own refusal did not count")
        rejected, = self.daemon.json("track", "--outcome", "rejected")
        self.assertEqual(rejected["recipient"], "ann@far.example")
        self.assertEqual(self.daemon.ctl("unblock", "bad.example")[0], 0)
        self.assertEqual(self.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")[0], 250)

    def test_one_message_to_many_is_one_question(self):
        before = self.question_count()
        self.assertEqual(self.send("eve@good.example", [f"a{i}@far.example" for i in range(5)],
                                   "eve@good.example")[0], 250)
        self.assertEqual(self.question_count(), before + 1)
        until(lambda: self.counts("good.example") == (5, 0, 0), "each recipient is counted")

    def test_mail_flows_while_deferd_is_away(self):
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "x")[0], 0)
        self.assertEqual(self.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")[0], 550)
        self.daemon.stop()
        self.assertEqual(self.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")[0], 250)


if __name__ == "__main__":
    if os.getuid() != 0:  # master runs as root alone
        os.execvp("sudo", ["sudo", "-n", "--preserve-env=DEFERD_BIN,DEFERD_SOURCE,DEFERD_POSTFIX",
                           "python3", *os.sys.argv])
    unittest.main()
