"""A real Postfix with reject_unlisted_recipient refuses recipients at RCPT time: an own login's are counted where
the log shows the login, a stranger's are nobody's."""

import os
import unittest

from postfix_process import PostfixTest

MAIN = """
virtual_mailbox_domains = mailbox.example
virtual_mailbox_maps = inline:{{ ann@mailbox.example=ann }}
smtpd_reject_unlisted_recipient = yes
"""


class RejectedRecipients(PostfixTest):
    def test_own_senders_are_charged_and_strangers_are_not(self):
        self.begin(main=MAIN)
        for i in range(3):
            # Postfix has an id for the message from its first good recipient on, and names the login there.
            answer = self.send("bob@bad.example", ["ann@far.example", f"nobody{i}@mailbox.example"],
                               "bob@bad.example")
            self.assertEqual(answer[0], 550, answer)
            self.send("bob@good.example", [f"nobody{i}@mailbox.example"])  # from outside
        # Without an id, Postfix 3.7 does not log who was refused.
        self.send("bob@silent.example", ["nobody@mailbox.example"], "bob@silent.example")
        self.assertEqual(self.window("bad.example"), (0, 0, 0))
        shown = self.daemon.json("track", "--outcome", "rejected_recipient")
        self.assertEqual([one["subject"] for one in shown], ["bad.example"] * 3)
        for subject, count in (("bad.example", 3), ("good.example", 0), ("silent.example", 0)):
            self.assertEqual(self.daemon.json("why", subject)["window"]["rejected_recipients"], count)
        self.assertEqual(self.daemon.json("status")["lines"]["rejected_recipients"], 3)
        self.assertIn("\ndeferd_rejected_recipients_total 3\n", self.daemon.http("/metrics")[1])


if __name__ == "__main__":
    if os.getuid() != 0:  # master runs as root alone
        os.execvp("sudo", ["sudo", "-n", "--preserve-env=DEFERD_BIN,DEFERD_SOURCE,DEFERD_POSTFIX",
                           "python3", *os.sys.argv])
    unittest.main()
