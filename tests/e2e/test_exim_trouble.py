"""A real Exim while deferd is killed, purged, stopped, or its log is rotated; and mail that is not ours."""

import os
import shutil
import signal
import unittest

from exim_process import EximTest, main
from redis_server import until

BOB = "bob@bad.example"

# A forwarder, as it comes, and one that rewrites the envelope sender (SRS) behind it.
FORWARDS = """
forward:
  driver = redirect
  domains = plain.example : srs.example
  data = ${quote_local_part:$local_part}@far.example
rewritten:
  driver = manualroute
  condition = ${if eq{$original_domain}{srs.example}}
  route_list = * 127.0.1.1
  transport = rewritten
  self = send
"""

REWRITTEN = """
rewritten:
  driver = smtp
  port = %d
  allow_localhost
  hosts_try_fastopen =
  return_path = ${srs_encode{secret}{$return_path}{srs.example}}
"""


class Forwards(EximTest):
    def test_a_forged_sender_into_a_forward_blocks_nobody(self):
        self.begin(routers=FORWARDS)
        with open(self.config, encoding="utf-8") as file:
            text = file.read()
        self.write_config(text.replace("begin retry", REWRITTEN % self.sink.port + "begin retry"))
        for i in range(6):
            self.session([("ceo@victim.example", [f"nouser{i}@plain.example"]),
                          ("ceo@victim.example", [f"nouser{i}@srs.example"])])
        self.session([("ceo@victim.example", ["ann@srs.example"])])
        self.exim("-q")
        self.assertEqual(self.window("victim.example"), (0, 0, 0))
        self.assertEqual(self.counts("forward:plain.example"), (0, 0, 6))
        self.assertEqual(self.counts("forward:srs.example"), (1, 0, 6))
        self.assertEqual(self.daemon.json("blocks"), [])
        self.assertTrue(any(sender.startswith("SRS0=") and recipient == "ann@far.example"
                            for sender, recipient in self.sink.accepted), self.sink.accepted)


class Trouble(EximTest):
    def setUp(self):
        self.begin()
        self.sent = 0

    def send_some(self):
        """One that fails, one that is put off, two that are delivered."""
        self.sent += 1
        answer = self.session([(BOB, [f"nouser{self.sent}@far.example", f"unsure{self.sent}@far.example",
                                      f"ann{self.sent}@far.example", f"joe{self.sent}@far.example"])], BOB)
        self.assertIn("250 OK id=", answer)
        self.exim("-q")

    def check_counts(self):
        self.assertEqual(self.window("bad.example"), (2 * self.sent, self.sent, self.sent))

    def test_killed_midway_and_started_again_it_counts_the_same(self):
        self.send_some()
        until(lambda: self.counts("bad.example")[2] == 1, "the first is counted")
        self.send_some()
        self.daemon.process.kill()
        self.daemon.stop()
        self.send_some()
        self.daemon.start()
        self.check_counts()

    def test_purged_midway_mail_flows(self):
        self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")
        self.assertNotIn("250 OK id=", self.session([(BOB, ["ann@far.example"])], BOB))
        self.daemon.process.kill()  # the socket stays and leads nowhere
        self.daemon.stop()
        self.send_some()
        os.unlink(self.daemon.hook)
        self.send_some()
        os.unlink(self.daemon.path("deferd.filter"))
        self.send_some()
        self.assertEqual(self.submit("nobody", "x@local.example", "ann@far.example"), 0)
        self.exim("-q")
        self.assertEqual(self.accepted(), [BOB] * 6 + ["x@local.example"])
        self.assertEqual(set(self.queue()), {BOB}, "what the sink puts off, and nothing else")

    def test_a_log_rotated_midway_counts_the_same(self):
        self.send_some()
        until(lambda: self.counts("bad.example")[2] == 1, "the first is counted")
        os.rename(self.log_path, self.log_path + ".1")
        self.send_some()
        self.assertTrue(os.path.exists(self.log_path), "Exim began a new one")
        os.rename(self.log_path + ".1", self.log_path + ".2")
        os.rename(self.log_path, self.log_path + ".1")
        self.daemon.write("exim/mainlog", "")
        shutil.chown(self.log_path, "Debian-exim", "Debian-exim")
        self.send_some()
        self.check_counts()
        self.assertEqual([source["gaps"] for source in self.daemon.json("status")["sources"]], [0])

    def test_a_hung_deferd_is_asked_once_a_message_and_mail_flows(self):
        before = self.daemon.json("status")["questions"]["answered"]
        self.daemon.process.send_signal(signal.SIGSTOP)
        recipients = [f"ann{i}@far.example" for i in range(5)]
        self.assertIn("250 OK id=", self.session([(BOB, recipients)], BOB))
        self.exim("-q")
        self.assertEqual(self.accepted(), [BOB] * 5)
        self.daemon.process.send_signal(signal.SIGCONT)
        # The questions were left in the socket: one at the door, one before the delivery.
        until(lambda: self.daemon.json("status")["questions"]["answered"] >= before + 2, "it wakes up")
        self.assertEqual(self.daemon.json("status")["questions"]["answered"], before + 2)
        self.assertEqual(self.window("bad.example"), (5, 0, 0))


if __name__ == "__main__":
    main(unittest)
