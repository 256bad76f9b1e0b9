"""A real Exim with verify = recipient refuses recipients at RCPT time: an own login's are counted, a stranger's
are nobody's, and a rule may judge them."""

import unittest

import exim_process
from exim_process import EximTest
from redis_server import until

POLICY = """
[rule.guessing]
min_rejected_recipients = 4
percent = 50
action = "reject"
"""

KNOWN = """
unknown:
  driver = redirect
  domains = far.example
  local_parts = ^nobody
  allow_fail
  data = :fail: no such user here
"""


class RejectedRecipients(EximTest):
    def setUp(self):
        self.begin(policy=POLICY, routers=KNOWN)
        with open(self.config, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("acl_smtp_rcpt = accept\n", text)
        text = text.replace("acl_smtp_rcpt = accept\n", "acl_smtp_rcpt = acl_check_rcpt\n").replace(
            "\nbegin acl\n", "\nbegin acl\nacl_check_rcpt:\n  require verify = recipient\n  accept\n", 1)
        self.daemon.write("exim.conf", text)

    def rejected(self, subject):
        return self.daemon.json("why", subject)["window"]["rejected_recipients"]

    def test_own_senders_are_charged_and_strangers_are_not(self):
        names = [f"nobody{i}@far.example" for i in range(4)]
        self.session([("eve@good.example", names)])  # from outside, whatever sender it claims
        self.session([("bob@bad.example", names[:3])], "bob@bad.example")
        self.assertEqual(self.window("good.example"), (0, 0, 0))
        self.assertEqual(self.rejected("bad.example"), 3)
        self.assertEqual(self.rejected("good.example"), 0)
        self.assertEqual(self.daemon.json("check", "bad.example")["verdict"], "pass")
        shown = self.daemon.json("track", "--outcome", "rejected_recipient")
        self.assertEqual({(one["subject"], one["login"]) for one in shown}, {("bad.example", "bob@bad.example")})
        self.assertEqual(len(self.daemon.json("track", "--outcome", "rejected")), 4)

        self.session([("bob@bad.example", names[3:])], "bob@bad.example")
        until(lambda: self.daemon.json("check", "bad.example")["verdict"] == "reject", "the rule has tripped")
        self.assertIn("550-Domain bad.example has exceeded the max rejected recipients per hour (4/4\n550 (100%)) allowed.",
                      self.session([("bob@bad.example", ["ann@far.example"])], "bob@bad.example"))
        # deferd's own refusal is no rejected recipient.
        self.window("good.example")
        self.assertEqual(self.rejected("bad.example"), 4)
        self.assertIn("4 of 4 rejected recipients", self.daemon.ctl("why", "bad.example", "--all")[1])
        self.assertEqual(self.daemon.json("why", "bad.example", "--verify")["finding"], "confirmed")


if __name__ == "__main__":
    exim_process.main(unittest)
