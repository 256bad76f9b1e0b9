"""A policy that people dare to tune, as an operator meets it: a warning, the mailbox blocked and not
its domain, a newsletter with limits of its own, a trial in shadow, and a change that is looked at
before it is taken."""

import unittest

from deferd_process import DeferdTest, message
from redis_server import until

TUNED = """
[tag.newsletter]
domains = ["news.example"]
[rule.login]
kind = "login"
min_bad = 10
percent = 50
warn_at = 0.7
[rule.ratio]
min_bad = 20
percent = 50
[rule.newsletter]
tags = ["newsletter"]
instead_of = "ratio"
min_bad = 40
percent = 30
[rule.trial]
min_bad = 4
percent = 20
shadow = true
"""


def ask(login):
    return f"check\tsource=submission\tsender={login}\tlogin={login}\thost=192.0.2.1"


class Tuned(DeferdTest):
    def day(self, daemon, mails):
        daemon.append("".join(message(outcome, login) for login, outcome, times in mails
                              for _ in range(times)))

    def bad(self, daemon, subject):
        return daemon.json("why", subject)["window"]["bad"]

    def ordinary(self):
        """Ten customers with a few dead addresses, and mailing lists."""
        return [(f"{name}@c{i}.example", outcome, times) for i in range(10)
                for name, outcome, times in (("ann", "delivered", 6), ("ben", "delivered", 4),
                                             ("ben", "failed", 1))]

    def test_a_day(self):
        daemon = self.deferd(policy=TUNED)
        daemon.wait_log("answers are checked")
        self.day(daemon, self.ordinary())
        # A stolen password: first the warning, with what is to come.
        self.day(daemon, [("ann@c0.example", "failed", 8)])
        daemon.wait_log("login:ann@c0.example: WARNING: near rule login")
        self.assertTrue(daemon.ask(ask("ann@c0.example")).startswith("pass"))
        self.assertIn('\ndeferd_warnings_total{mode="enforce"} ', daemon.http("/metrics")[1])
        # Then the mailbox, and not its domain.
        self.day(daemon, [("ann@c0.example", "failed", 5)])
        until(lambda: daemon.ask(ask("ann@c0.example")).startswith("reject"), "the mailbox is blocked")
        self.assertTrue(daemon.ask(ask("ben@c0.example")).startswith("pass"))
        self.assertTrue(daemon.ask("check c0.example").startswith("pass"))
        self.assertIn("ann@c0.example", daemon.ctl("why", "c0.example")[1])
        # A newsletter with dead addresses that would have blocked anybody else.
        self.day(daemon, [("list@news.example", "delivered", 20)] +
                 [(f"l{i}@news.example", "failed", 4) for i in range(6)])
        until(lambda: self.bad(daemon, "news.example") == 24, "it is counted")
        self.assertTrue(daemon.ask(ask("list@news.example")).startswith("pass"))

        # What the rule in shadow would have done, and whether that was right.
        report = daemon.json("shadow", "report", "--since", "7d")
        found = {one["subject"]: one for one in report["cases"]}
        self.assertIn("news.example", found)
        self.assertEqual(found["news.example"]["rule"], "trial")
        self.assertEqual(daemon.ctl("shadow", "wrong", "news.example", "--reason", "a newsletter")[0], 0)
        page = daemon.ctl("shadow", "report")[1]
        self.assertIn("550 5.1.1 User unknown", " ".join(page.split()))
        self.assertEqual(daemon.stop(), 0)
        daemon.start()
        rule, = daemon.json("shadow", "report")["rules"]
        self.assertEqual((rule["wrong"], rule["right_percent"]), (1, 0), "a restart keeps the mark")

        # How strict it could be.
        suggestion = daemon.json("policy", "suggest", "--since", "1d")
        strict, = [cell for cell in suggestion["cells"]
                   if (cell["min_bad"], cell["percent"]) == (10, 40)]
        self.assertEqual(strict["blocks"], 2, "c0.example and news.example")
        self.assertEqual(strict["lifted_percent"], 0)

    def test_a_change_is_looked_at_before_it_is_taken(self):
        daemon = self.deferd(policy=TUNED)
        with open(daemon.config_path, encoding="utf-8") as file:
            config = file.read()
        daemon.write("deferd.toml", 'reload_guard = "20%"\n' + config)
        daemon.wait_log("answers are checked")
        self.day(daemon, self.ordinary())
        until(lambda: self.bad(daemon, "c9.example") == 1, "all is counted")
        before = daemon.json("status")["policy"]["hash"]
        old = daemon.write("old.toml", TUNED)
        # A slip: one bad delivery in ten.
        slip = TUNED.replace('[rule.ratio]\nmin_bad = 20\npercent = 50',
                             '[rule.ratio]\nmin_bad = 1\npercent = 5')
        daemon.write("policy.toml", slip)
        diff = daemon.json("policy", "diff", old, daemon.policy_path, "--since", "1d")
        self.assertEqual(diff["newly_blocked"], 10)
        self.assertIn("550 5.1.1", diff["subjects"][0]["message"]["reply"])
        status, _, err = daemon.ctl("reload")
        self.assertEqual(status, 1)
        self.assertIn("10 newly blocked (c0.example", err)
        daemon.hangup()
        until(lambda: sum("reload failed" in line for line in daemon.lines) == 2,
              "a signal is refused too")
        said = daemon.json("status")["policy"]
        self.assertEqual((said["hash"], said["stale"]), (before, True))
        self.assertIn("RELOAD REFUSED", daemon.ctl("status")[1])
        # A small change passes; the slip only by force.
        daemon.write("policy.toml", TUNED.replace("min_bad = 40", "min_bad = 30"))
        self.assertEqual(daemon.ctl("reload")[0], 0)
        self.assertFalse(daemon.json("status")["policy"]["stale"])
        daemon.write("policy.toml", slip)
        self.assertEqual(daemon.ctl("reload")[0], 1)
        self.assertEqual(daemon.ctl("reload", "--force")[0], 0)


if __name__ == "__main__":
    unittest.main()
