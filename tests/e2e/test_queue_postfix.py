"""What is queued in a real Postfix is held while its sender is blocked, and let go of afterwards."""

import os
import stat
import unittest

from deferd_process import run
from postfix_process import ROOT, PostfixTest
from queue_process import QueueHelper
from redis_server import until

POLICY = """
hold_max = "{hold_max}"
[rule.few]
min_bad = 5
percent = 50
action = "hold"
"""


class Held(PostfixTest):
    def start(self, *helper_options, hold_max="6h"):
        self.begin(policy=POLICY.format(hold_max=hold_max), config='[queue]\nhelper = "{folder}/queue.sock"')
        # The unpacked programs need their own libraries; the helper hands on no environment.
        programs = self.daemon.path("programs")
        os.mkdir(programs)
        for name in ("postsuper", "postqueue", "postcat", "sendmail"):
            path = os.path.join(programs, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\nexport LD_LIBRARY_PATH={ROOT}/usr/lib/postfix\n"
                           f'exec {ROOT}/usr/sbin/{name} "$@"\n')
            os.chmod(path, stat.S_IRWXU)
        self.helper = QueueHelper(self.daemon.folder, "--exim", "/nonexistent", "--postfix", programs,
                                  "--postfix-config", os.path.join(self.postfix.folder, "postfix"),
                                  *helper_options)
        self.addCleanup(self.helper.stop)

    def states(self):
        return {one["id"]: one["state"] for one in self.daemon.json("queue")}

    def accepted(self):
        return [sender for sender, _ in self.sink.accepted if sender]

    def waiting(self, sender="bob@bad.example"):
        """A message that the sink has put off: its id."""
        before = set(self.states())
        self.assertEqual(self.send(sender, ["busy@far.example"], sender)[0], 250)
        until(lambda: set(self.states()) - before, "it is queued")
        return (set(self.states()) - before).pop()

    def state_of(self, one):
        return self.states().get(one)

    def postsuper(self, option, one):
        status, _, err = run(self.daemon.path("programs/postsuper"), "-c",
                             os.path.join(self.postfix.folder, "postfix"), option, one)
        self.assertEqual(status, 0, err)

    def test_queued_mail_is_held_and_let_go_of(self):
        self.start()
        mine, theirs = self.waiting(), self.waiting("eve@good.example")
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")[0], 0)
        until(lambda: self.state_of(mine) == "held", "it is held")
        self.assertEqual(self.state_of(theirs), "queued")
        until(lambda: "held by deferd: its sender is blocked" in
              [row["reply"] for row in self.daemon.json("track", mine)], "that is recorded")
        self.assertEqual(self.daemon.ctl("unblock", "bad.example", "--reason", "test")[0], 0)
        until(lambda: self.state_of(mine) == "queued", "it is let go of")

    def test_a_submission_is_held_and_a_person_lets_it_go(self):
        self.start()
        for i in range(5):
            self.assertEqual(
                self.send("bob@bad.example", [f"nouser{i}@far.example"], "bob@bad.example")[0], 250)
        self.daemon.wait_log("BLOCKED")
        self.assertEqual(self.postfix.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")[0], 250)
        until(lambda: list(self.states().values()) == ["held"], "the message waits")
        one, = self.daemon.json("queue", "bad.example")
        self.assertEqual((one["subject"], one["login"], one["recipients"]),
                         ("bad.example", "bob@bad.example", ["ann@far.example"]))
        self.assertEqual(self.daemon.ctl("queue", "release", "bad.example")[1], "1 message let go\n")
        until(lambda: self.accepted() == ["bob@bad.example"], "it goes out though its sender is blocked")

    def test_what_somebody_else_holds_is_let_alone(self):
        self.start()
        other = self.waiting()
        self.postsuper("-h", other)
        until(lambda: self.state_of(other) == "held", "an administrator holds it")
        mine = self.waiting()
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")[0], 0)
        until(lambda: self.state_of(mine) == "held", "deferd holds the second")
        self.assertEqual(self.daemon.ctl("unblock", "bad.example", "--reason", "test")[0], 0)
        until(lambda: self.state_of(mine) == "queued", "and lets it go")
        self.assertEqual(self.state_of(other), "held")

    def test_what_is_given_back_is_no_failure(self):
        self.start()
        mine = self.waiting()
        before = self.counts("bad.example")
        self.helper.ask("hold", ids=[mine])
        until(lambda: self.state_of(mine) == "held", "it is held")
        self.helper.ask("give_back", ids=[mine])
        until(lambda: ("", "bob@bad.example") in self.sink.accepted, "its sender is told")
        until(lambda: "status=force-expired" in self.postfix.log(), "Postfix gives it up")
        self.removed += 1  # the notice
        self.assertEqual(self.window("bad.example"), before)

    def test_discarding_and_redirecting(self):
        self.start("--allow-discard", "--allow-redirect")
        first, second = self.waiting(), self.waiting()
        status, _, err = self.daemon.ctl("queue", "redirect", first, "else@alt.example", "--helper",
                                         self.helper.socket)
        self.assertEqual(status, 0, err)
        until(lambda: [to for _, to in self.sink.accepted] == ["else@alt.example"], "it went elsewhere")
        self.assertEqual(list(self.states()), [second])
        status, out, err = self.daemon.ctl("queue", "discard", "bad.example", "--helper", self.helper.socket)
        self.assertEqual((status, out), (0, "1 message discarded\n"), err)
        until(lambda: self.states() == {}, "it is gone")


if __name__ == "__main__":
    if os.getuid() != 0:  # master runs as root alone
        os.execvp("sudo", ["sudo", "-n", "--preserve-env=DEFERD_BIN,DEFERD_SOURCE,DEFERD_POSTFIX",
                           "python3", *os.sys.argv])
    unittest.main()
