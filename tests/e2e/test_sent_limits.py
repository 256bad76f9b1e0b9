"""A real Exim under limits on what is sent: a login is stopped before its first message is delivered, a newsletter
has a looser limit, and a local user is counted once, by question and arrival."""

import re
import unittest

import exim_process
from exim_process import EximTest
from redis_server import until

POLICY = """
[rule.mailbox]
kind = "login"
max_sent = 50
action = "reject"

[tag.newsletter]
domains = ["news.example"]

[rule.newsletter]
kind = "login"
tags = ["newsletter"]
instead_of = "mailbox"
max_sent = 100
action = "reject"

[rule.script]
kind = "account"
max_sent = 5
cutoff = 140
action = "reject"
"""


class SentLimits(EximTest):
    def setUp(self):
        users = self.users_file("shop: bad.example\n")
        self.begin(policy=POLICY, config=f'[charge]\nusers = "{users}"')

    def burst(self, login, n):
        """n messages in one session, which only queues: how many were accepted, and what was said."""
        said = self.session([(login, [f"r{i}@far.example"]) for i in range(n)], login)
        return said.count("250 OK id="), said

    def verdict(self, subject):
        return self.daemon.json("check", subject)["verdict"]

    def sent(self, subject):
        return self.daemon.json("why", subject)["window"].get("sent_messages", 0)

    def test_a_login_is_stopped_before_its_first_delivery(self):
        self.assertEqual(self.burst("bob@bad.example", 50)[0], 50)
        until(lambda: self.verdict("login:bob@bad.example") == "reject", "the limit is reached")
        accepted, said = self.burst("bob@bad.example", 3)
        self.assertEqual(accepted, 0)
        self.assertIn("Login bob@bad.example has exceeded the max emails per", said)
        self.assertIn("(50/50 (100%)) allowed.", re.sub(r"\r?\n550[- ]", " ", said))
        self.assertEqual(self.accepted(), [], "nothing was delivered so far")
        self.assertEqual(self.sent("login:bob@bad.example"), 50)
        self.assertEqual(self.verdict("bad.example"), "pass", "the mailbox is stopped, the domain is not")
        self.assertEqual(self.burst("ann@bad.example", 1)[0], 1)
        why = self.daemon.ctl("why", "login:bob@bad.example")[1]
        self.assertIn("50 messages sent (limit 50)", why)

        self.daemon.ctl("unblock", "login:bob@bad.example", "--reason", "a newsletter, once")
        # The same mail delivered is not counted again: it was when it was accepted.
        self.exim("-qff")
        until(lambda: len(self.accepted()) == 51, "all is delivered")
        self.assertEqual(self.sent("login:bob@bad.example"), 0)
        self.assertEqual(self.burst("bob@bad.example", 1)[0], 1)

    def test_a_newsletter_may_send_more(self):
        self.assertEqual(self.burst("letter@news.example", 60)[0], 60)
        until(lambda: self.sent("login:letter@news.example") == 60, "all are counted")
        self.assertEqual(self.verdict("login:letter@news.example"), "pass")
        self.assertEqual(self.burst("letter@news.example", 40)[0], 40)
        until(lambda: self.verdict("login:letter@news.example") == "reject", "its own limit is reached")

    def test_a_local_user_is_held_and_then_refused(self):
        for _ in range(5):
            self.assertEqual(self.submit("shop", "shop@bad.example", "ann@far.example"), 0)
        until(lambda: self.verdict("account:shop") == "hold", "the soft stage")
        self.assertEqual(self.daemon.json("why", "account:shop")["case"]["count"], 5, "each message once")
        for _ in range(2):
            self.submit("shop", "shop@bad.example", "ann@far.example")
        until(lambda: self.verdict("account:shop") == "reject", "the cutoff is reached")
        self.assertNotEqual(self.submit("shop", "shop@bad.example", "ann@far.example"), 0)


if __name__ == "__main__":
    exim_process.main(unittest)
