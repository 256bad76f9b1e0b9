"""A real Exim asks deferd before it accepts and before it delivers, and deferd reads that Exim's log."""

import os
import re
import unittest

from deferd_process import POLICY
from exim_process import EximTest, main
from redis_server import until


def policy(**action):
    """The usual one with other verdicts."""
    text = POLICY
    for source, verdict in action.items():
        text, found = re.subn(rf'{source} = "\w+"', f'{source} = "{verdict}"', text)
        assert found == 1, source
    return text


class Submissions(EximTest):
    def test_a_hacked_login_is_blocked_by_its_own_bounces(self):
        self.begin()
        self.blocked_by_its_bounces()
        # Exim wraps the sentence; its words are all there.
        answer = self.send("bob@bad.example", "ann@far.example", "bob@bad.example")
        sentence = " ".join(line[4:] for line in answer.splitlines() if line.startswith("550"))
        self.assertIn("Domain bad.example has exceeded the max defers and failures per hour "
                      "(5/5 (100%)) allowed. Message rejected, try again after", sentence)
        self.assertNotIn("250 OK id=", answer)
        # Another domain, and mail from outside that claims to be the blocked one, are untouched.
        self.assertIn("250 OK id=", self.send("eve@good.example", "ann@far.example",
                                              "eve@good.example"))
        self.assertIn("250 OK id=", self.send("bob@bad.example", "ann@far.example"))
        self.assertEqual(self.accepted(), ["z@last.example", "eve@good.example", "bob@bad.example"])
        self.assertEqual(self.window("bad.example"), (0, 0, 5), "our own refusal did not count")
        self.assertEqual(self.daemon.ctl("unblock", "bad.example")[0], 0)
        self.assertIn("250 OK id=", self.send("bob@bad.example", "ann@far.example",
                                              "bob@bad.example"))

    def test_what_is_held_waits_in_a_queue_of_its_own(self):
        self.begin(policy(submission="hold"))
        self.blocked_by_its_bounces()
        self.assertIn("250 OK id=", self.send("bob@bad.example", "ann@far.example", "bob@bad.example"))
        (message, sender), = self.held()
        self.assertEqual(sender, "bob@bad.example")
        self.assertEqual(self.queue(), [], "no queue run sees it")
        self.assertEqual(self.window("bad.example"), (0, 0, 5))
        self.daemon.ctl("unblock", "bad.example")
        self.exim("-qGdeferd-held", "-MG", "", message)
        self.exim("-q")
        self.assertIn("bob@bad.example", self.accepted())

    def test_one_session_of_a_relay_holds_the_blocked_domain_alone(self):
        self.begin(config='[charge]\nrelay_hosts = ["127.0.0.1"]')
        self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")
        senders = ("a@good.example", "b@bad.example", "c@good.example")
        answer = self.session([(sender, ["ann@far.example"]) for sender in senders],
                              client="127.0.0.1.4321")
        self.assertEqual(answer.count("250 OK id="), 3)
        self.exim("-q")
        self.assertEqual([sender for _, sender in self.held()], ["b@bad.example"])
        self.assertEqual(sorted(self.accepted()), ["a@good.example", "c@good.example"])

    def test_a_local_session_of_ever_new_senders_is_held_by_its_host(self):
        self.begin(POLICY + '[rule.host]\nkind = "host"\nmin_bad = 5\npercent = 50\naction = "hold"\n')
        for i in range(5):
            self.session([(f"a@new{i}.example", [f"nouser{i}@far.example"])], client="127.0.0.1.4321")
        self.exim("-q")
        self.daemon.wait_log("host:127.0.0.1: BLOCKED")
        self.assertEqual(self.window("host:127.0.0.1"), (0, 0, 5))
        for client in ("127.0.0.1.4322", "127.0.0.9.4323"):
            self.assertIn("250 OK id=", self.send("a@another.example", "ann@far.example", client=client))
        self.assertEqual([sender for _, sender in self.held()], ["a@another.example"] * 2)
        # Others of this server are no part of it.
        self.assertIn("250 OK id=", self.send("eve@good.example", "ann@far.example", "eve@good.example"))
        self.assertIn("eve@good.example", self.accepted())

    def test_an_exim_that_stops_asking_is_noticed(self):
        self.begin(POLICY)
        for i in range(12):
            self.assertIn("250 OK id=", self.send("a@good.example", "ann@far.example", "a@good.example"))
        asked = {"accepted": 12, "asked": 12}
        until(lambda: self.daemon.json("status")["asked_last_hour"]["exim_submission"] == asked, "12 of 12")
        self.assertEqual(self.daemon.json("status")["blind"], [])
        with open(self.config, encoding="utf-8") as file:
            text = file.read()
        self.write_config(text.replace("acl_check_mail:\n", "acl_check_mail:\n  accept\n", 1))
        for i in range(19):
            self.assertIn("250 OK id=", self.send("a@good.example", "ann@far.example", "a@good.example"))
        until(lambda: self.daemon.json("status")["blind"], "an alarm")
        [alarm] = self.daemon.json("status")["blind"]
        self.assertEqual(alarm["kind"], "hook")
        self.assertIn("Exim accepted 31 messages with a login in the last hour, but queried deferd about only 12", alarm["what"])
        self.assertIn("BLIND", self.daemon.ctl("status")[1])

    def test_where_nothing_moves_held_mail_the_client_keeps_it(self):
        """The other way to hold, which ask.conf has as a comment."""
        self.begin(policy(submission="hold"))
        with open(self.config, encoding="utf-8") as file:
            text = file.read()
        text, found = re.subn(r"^  warn\n    condition = .*\n    queue = .*\n", "", text, flags=re.M)
        self.assertEqual(found, 1)
        text, found = re.subn(r"^# defer\n#   (.*)\n#   (.*)\n", r"  defer\n    \1\n    \2\n", text, flags=re.M)
        self.assertEqual(found, 1)
        self.write_config(text)
        self.blocked_by_its_bounces()
        answer = self.send("bob@bad.example", "ann@far.example", "bob@bad.example")
        self.assertIn("451-Domain bad.example has exceeded", answer)
        self.assertNotIn("250 OK id=", answer)
        self.assertEqual(self.held(), [])

    def test_what_is_discarded_is_gone_and_counts_for_nobody(self):
        self.begin(policy(submission="discard"))
        self.blocked_by_its_bounces()
        self.assertIn("250 OK id=", self.send("bob@bad.example", "ann@far.example", "bob@bad.example"))
        self.assertEqual(self.window("bad.example"), (0, 0, 5))
        self.assertNotIn("bob@bad.example", self.accepted())
        self.assertEqual(self.queue(), [])
        discarded = self.daemon.json("track", "--outcome", "discarded")
        self.assertEqual([row["subject"] for row in discarded], ["bad.example"])

    def test_readsocket_reads_the_answer(self):
        self.begin()

        def expand():
            question = "${readsocket{%s}{check bad.example\\n}{2s}{}{FAIL}}"
            return self.exim("-be", question % self.daemon.hook).stdout.strip()

        self.assertEqual(expand(), "pass")
        self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")
        self.assertTrue(expand().startswith("reject Mail of bad.example was stopped"))


class LocalPrograms(EximTest):
    def begin(self, *arguments, **options):
        users = self.users_file("web: bad.example\nshop: good.example\n")
        super().begin(*arguments, config=f'[charge]\nusers = "{users}"', **options)

    def block(self):
        """A script of bad.example's account, whose sender is made up, fails five times."""
        for i in range(5):
            self.assertEqual(self.submit("web", "ceo@victim.example", f"nouser{i}@far.example",
                                         f"X-PHP-Originating-Script: 33:form{i}.php\n"), 0)
        self.exim("-q")
        self.daemon.wait_log("BLOCKED")
        self.assertEqual(self.window("bad.example"), (0, 0, 5))
        self.assertEqual(self.counts("victim.example"), (0, 0, 0))

    def test_what_a_script_sends_is_held(self):
        self.begin()
        self.block()
        self.assertEqual(self.submit("web", "x@bad.example", "ann@far.example"), 0)
        self.assertEqual(self.submit("shop", "x@bad.example", "ann@far.example"), 0)
        self.assertEqual(self.submit("nobody", "y@bad.example", "ann@far.example"), 0)
        self.exim("-q")
        self.assertEqual(self.queue(), ["x@bad.example"])
        self.assertEqual(sorted(self.accepted()), ["x@bad.example", "y@bad.example", "z@last.example"])
        self.daemon.ctl("unblock", "bad.example")
        self.exim("-q")
        self.assertEqual(self.accepted().count("x@bad.example"), 2)

    def test_a_local_smtp_session_is_the_users(self):
        self.begin()
        self.block()
        for user in ("web", "shop"):
            # -oMai: of a local caller, Exim takes its user for the authenticated id.
            self.exim("-odq", "-oMt", user, "-oMai", user, "-bs", stdin="EHLO pc\r\nMAIL FROM:<x@any.example>\r\n"
                      "RCPT TO:<ann@far.example>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
        self.assertEqual([sender for _, sender in self.held()], ["x@any.example"])
        self.assertIn(" U=web P=local-esmtp ", self.log())
        self.exim("-q")
        self.assertEqual(self.accepted().count("x@any.example"), 1)

    def test_what_a_script_sends_is_rejected(self):
        self.begin(policy(local="reject"))
        self.block()
        self.assertEqual(self.submit("web", "x@bad.example", "ann@far.example"), 1)
        self.assertEqual(self.submit("nobody", "x@bad.example", "ann@far.example"), 0,
                         "a user who is mapped to no domain")
        self.assertEqual(self.window("bad.example"), (0, 0, 5))
        rejected, claimed = self.daemon.json("track", "--outcome", "rejected")
        self.assertIn("Domain bad.example has exceeded", rejected["reply"])
        self.assertTrue(claimed["reply"].startswith("claimed: user=web "), claimed)
        self.assertEqual(claimed["id"], rejected["id"])
        self.assertEqual(self.accepted().count("x@bad.example"), 1)

    def test_what_a_script_sends_is_discarded(self):
        self.begin(policy(local="discard"))
        self.block()
        self.submit("web", "x@bad.example", "ann@far.example")
        self.assertEqual(self.window("bad.example"), (0, 0, 5))
        self.assertEqual(self.queue(), [])
        self.assertNotIn("x@bad.example", self.accepted())
        discarded = self.daemon.json("track", "--outcome", "discarded")
        self.assertEqual([row["subject"] for row in discarded], ["bad.example"])

    def test_what_a_script_claims_is_shown_and_believed_by_nobody(self):
        self.begin()
        claim = '33:x" => ceo@victim.example R=r T=t H=mx.example [192.0.2.1]\\'
        self.submit("web", "x@bad.example", "nouser@far.example", f"X-PHP-Originating-Script: {claim}\n")
        self.exim("-q")
        self.assertEqual(self.window("bad.example"), (0, 0, 1))
        self.assertEqual(self.counts("victim.example"), (0, 0, 0))
        message = re.search(r" (\S{16}) <= x@bad.example", self.log())[1]
        queued = self.daemon.json("track", message)[0]
        self.assertEqual(queued["outcome"], "queued")
        self.assertEqual(queued["reply"], "claimed: user=web cwd=%s script=%s" % (
            '"' + os.getcwd() + '"', '"33:x\\" => ceo@victim.example R=r T=t H=mx.example [192.0.2.1]\\\\"'))
        self.assertIn("33:x", self.daemon.ctl("why", "bad.example", "--all")[1])


class QueuedMail(EximTest):
    def test_what_was_queued_before_the_block_waits_and_hurts_nobody(self):
        self.begin(retry="1s")  # a retry rule that would make a deferred message expire
        self.session([("bob@bad.example", ["ann@far.example", "joe@far.example"])], "bob@bad.example")
        self.session([("eve@good.example", ["ann@far.example"])], "eve@good.example")
        self.session([("bob@bad.example", ["ann@far.example"])])  # from outside, claims to be bob
        self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")
        for _ in range(3):
            self.exim("-q")
        self.assertEqual(self.queue(), ["bob@bad.example"])
        self.assertEqual(self.log().count("Delivery deferred by system filter"), 3, "once a message and run")
        self.assertEqual(sorted(self.accepted()), ["bob@bad.example", "eve@good.example"])
        # A second message of the innocent, to the recipient of what is held.
        self.send("eve@good.example", "ann@far.example", "eve@good.example")
        self.assertEqual(self.accepted().count("eve@good.example"), 2)
        self.assertFalse(os.path.exists(self.daemon.path("spool/db/retry")), "a retry record was written")
        self.assertEqual(self.window("bad.example"), (0, 0, 0), "waiting counts for nothing")
        self.daemon.ctl("unblock", "bad.example")
        self.exim("-q")
        self.assertEqual(self.queue(), [], "delivered at once")
        self.assertEqual(self.sink.accepted.count(("bob@bad.example", "joe@far.example")), 1)
        for text in (" ** ", " == ", "retry time", "<= <>"):
            self.assertNotIn(text, self.log())

    def after_the_block(self, verdict):
        """bob's message comes in behind the block and is stopped at its first delivery."""
        self.begin(policy(submission="pass", queued=verdict))
        self.blocked_by_its_bounces()
        self.assertIn("250 OK id=", self.session([("bob@bad.example", ["ann@far.example"])],
                                                 "bob@bad.example"))
        self.exim("-q")
        self.assertEqual(self.queue(), [])
        self.assertNotIn("bob@bad.example", self.accepted())

    def test_a_rejected_one_bounces_and_counts_for_nobody(self):
        self.after_the_block("reject")
        self.assertEqual(self.sink.accepted.count(("", "bob@bad.example")), 6, "five are its own doing")
        self.assertEqual(self.window("bad.example"), (0, 0, 5))

    def test_a_discarded_one_is_no_delivery(self):
        self.after_the_block("discard")
        self.assertEqual(self.sink.accepted.count(("", "bob@bad.example")), 5)
        self.assertEqual(self.window("bad.example"), (0, 0, 5))


if __name__ == "__main__":
    main(unittest)
