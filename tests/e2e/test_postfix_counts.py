"""deferd counts exactly what the sink of a real Postfix answered: through expiry, a filter, a kill."""

import os
import unittest

from deferd_process import POLICY
from postfix_process import PostfixTest
from redis_server import free_port, until
from smtp_filter import SmtpFilter


class PostfixAsks(PostfixTest):
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


class PostfixTells(PostfixTest):
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

        # A server out there takes longer than the filter's answer does to be logged.
        def after_the_hand_over(sender, _):
            handed_over = len([one for one, _ in self.sink.accepted if one])
            until(lambda: not sender or self.postfix.log().count("queued as") >= handed_over, "it is linked")
            return "250 OK"

        self.sink.answer_data = after_the_hand_over
        self.send("bob@bad.example", ["ann@far.example", "nouser@far.example"], "bob@bad.example", 3)
        self.assertEqual(self.window("bad.example"), (1, 0, 1))
        # The notice about the other recipient may come before it.
        self.assertEqual([one for one in self.sink.accepted if one[1] == "ann@far.example"],
                         [("bob@bad.example", "ann@far.example")])

    def test_a_filter_at_a_relay_host_hides_no_stranger_and_no_login(self):
        filtered = SmtpFilter()
        self.addCleanup(filtered.close)
        filtered.port_back = free_port()
        filtered.names_id = False
        filtered.takes_all = True
        self.begin(main=f"content_filter = smtp:[127.0.0.1]:{filtered.port}\n",
                   master=f"127.0.0.1:{filtered.port_back} inet n - n - - smtpd\n"
                          "  -o content_filter= -o smtpd_authorized_xclient_hosts=\n",
                   config='[charge]\nrelay_hosts = ["127.0.0.1"]\n')

        def send(sender, number, login=None, client="192.0.2.9"):
            answer = self.postfix.send(sender, ["nouser@far.example"], login, client,
                                       f"Message-ID: <{number}@pc.example>\r\n")
            self.assertEqual(answer[0], 250)
            self.removed += 3  # both, and the notice
            # One after the other, so that each is whole before the next.
            until(lambda: self.postfix.log().count(": removed") >= self.removed, "Postfix is done")

        send("ann@victim.example", 1)                                 # from outside
        send("bob@bad.example", 2, "bob@bad.example")                 # a login
        send("form@form.example", 3, client="127.0.0.1")              # a web form
        filtered.keeps_message_id = False
        send("ann@victim.example", 4)
        filtered.keeps_message_id = True
        self.assertEqual(self.window("bad.example"), (0, 0, 1))
        self.assertEqual(self.window("form.example"), (0, 0, 1))
        self.assertEqual(self.window("victim.example"), (0, 0, 0))
        self.assertEqual(self.daemon.json("status")["left_out"]["unclear"], 1)
        self.assertIn("charged to nobody: it is unclear", self.daemon.ctl("doctor", "--json")[1])

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
