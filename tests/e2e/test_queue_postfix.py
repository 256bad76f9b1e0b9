"""What is queued in a real Postfix is held while its sender is blocked, and let go of afterwards."""

import os
import shutil
import signal
import stat
import tempfile
import time
import unittest

from deferd_process import BIN, SOURCE, run
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


# Postfix looks at its table every 10 s and remembers a look-up for 30 s; its own queue run, which would
# hide that nobody tries again, comes after 300 s.
UNNOTICED = 180


def net(name):
    """A file of deploy/postfix, with what is a test's own in place of what is installed."""
    with open(os.path.join(SOURCE, "deploy/postfix", name), encoding="utf-8") as file:
        text = file.read()
    text = text.replace("${nexthop}", "${{nexthop}}")
    for installed, own in (("/var/lib/deferd-queue/senders", "{folder}/senders"),
                           ("/usr/sbin/deferd-queue", "{folder}/deferd-queue")):
        text = text.replace(f"hash:{installed}", f"hash:{own}").replace(f"argv={installed}", f"argv={own}")
    return text


class Held(PostfixTest):
    def start(self, *helper_options, hold_max="6h", with_net=False):
        with tempfile.NamedTemporaryFile("w", prefix="deferd-users-", delete=False) as users:
            users.write("root: bad.example\n")
        self.addCleanup(os.unlink, users.name)
        self.begin(policy=POLICY.format(hold_max=hold_max), main=net("held.cf") if with_net else "",
                   master=net("held.master.cf") if with_net else "",
                   config=f'[queue]\nhelper = "{{folder}}/queue.sock"\n[charge]\nusers = "{users.name}"\n'
                          'relay_hosts = ["192.0.2.77"]')
        # Where the user nobody can run it.
        shutil.copy(os.path.join(BIN, "deferd-queue"), self.postfix.folder)
        # The unpacked programs need their own libraries; the helper hands on no environment.
        programs = self.daemon.path("programs")
        os.mkdir(programs)
        for name in ("postsuper", "postqueue", "postcat", "sendmail", "postmap", "postconf"):
            path = os.path.join(programs, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\nexport LD_LIBRARY_PATH={ROOT}/usr/lib/postfix\n"
                           f'exec {ROOT}/usr/sbin/{name} "$@"\n')
            os.chmod(path, stat.S_IRWXU)
        self.helper = QueueHelper(self.daemon.folder, "--exim", "/nonexistent", "--postfix", programs,
                                  "--postfix-config", os.path.join(self.postfix.folder, "postfix"),
                                  "--sender-table", self.table_path(), *helper_options)
        self.addCleanup(self.helper.stop)
        # deferd, which started first, looks again.
        until(lambda: self.daemon.ctl("queue")[0] == 0, "deferd sees the queue")

    def table_path(self):
        return os.path.join(self.postfix.folder, "senders")

    def table(self):
        with open(self.table_path(), encoding="utf-8") as file:
            return file.read()

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
        helper, = self.daemon.json("status")["queue"]["helpers"]
        self.assertEqual(helper["postfix"], os.path.join(self.postfix.folder, "queue"))
        self.assertEqual(self.daemon.ctl("queue", "release", "bad.example")[1], "1 message released\n")
        until(lambda: self.accepted() == ["bob@bad.example"], "it goes out though its sender is blocked")

    def test_with_the_helper_away_a_submission_is_deferred(self):
        self.start()
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")[0], 0)
        self.helper.stop()
        until(lambda: "deferd-queue does not answer" in self.daemon.ctl("why", "bad.example")[1], "it is missed")
        code, text = self.postfix.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")
        self.assertEqual(code, 450)
        self.assertIn("Mail of bad.example was stopped by the administrator. Message deferred, try again", text)
        self.assertIn("Postfix defers new mail (450)", self.daemon.ctl("why", "bad.example")[1])
        self.helper.start()
        until(lambda: "deferd-queue does not answer" not in self.daemon.ctl("why", "bad.example")[1], "it is back")
        self.assertEqual(self.postfix.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")[0], 250)
        until(lambda: list(self.states().values()) == ["held"], "the message waits")

    def test_a_relay_hosts_message_held_at_data_is_let_go_of(self):
        self.start()
        self.assertEqual(self.daemon.ctl("block", "form.example", "--for", "1h", "--reason", "test")[0], 0)
        self.assertEqual(self.postfix.send("web@form.example", ["ann@far.example"], client="192.0.2.77")[0], 250)
        until(lambda: [(one["state"], one["subject"]) for one in self.daemon.json("queue")]
              == [("held", "form.example")], "it waits, and whose it is is known")
        self.assertEqual(self.daemon.ctl("unblock", "form.example", "--reason", "test")[0], 0)
        until(lambda: self.accepted() == ["web@form.example"], "it goes out")

    def test_what_somebody_else_holds_is_let_alone(self):
        self.start()
        other = self.waiting()
        self.postsuper("-h", other)
        until(lambda: self.state_of(other) == "held", "an administrator holds it")
        # Postfix gives arrivals in whole seconds: what is held of the block's own second is deferd's.
        held = int(time.time())
        until(lambda: int(time.time()) > held, "that second is over")
        mine = self.waiting()
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")[0], 0)
        until(lambda: self.state_of(mine) == "held", "deferd holds the second")
        self.assertEqual(self.daemon.ctl("unblock", "bad.example", "--reason", "test")[0], 0)
        until(lambda: self.state_of(mine) == "queued", "and lets it go")
        self.assertEqual(self.state_of(other), "held")

    def sendmail(self, *sender):
        """As root's script would, which is mapped to bad.example: nobody asks deferd."""
        done = run(self.daemon.path("programs/sendmail"), "-C", os.path.join(self.postfix.folder, "postfix"),
                   *sender, "--", "ann@far.example", stdin="Subject: sale\n\nhello\n")
        self.assertEqual(done[0], 0, done)

    def deferd_sees_nothing(self):
        """Until it is woken, so that nothing is held meanwhile; the sender table stays as it is."""
        self.daemon.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.daemon.process.send_signal, signal.SIGCONT)

    def put_off(self):
        return self.postfix.log().count("relay=deferd-held, ")

    def innocent(self):
        self.assertEqual(self.send("eve@good.example", ["ann@far.example"], "eve@good.example")[0], 250)

    def noticed(self, times):
        until(lambda: self.postfix.log().count("has changed -- restarting") >= times,
              "Postfix notices the new table")

    def test_mail_by_sendmail_is_put_off_until_it_is_held(self):
        self.start(with_net=True)
        # Somebody else first, so that Postfix has the empty table open.
        self.innocent()
        until(lambda: self.accepted() == ["eve@good.example"], "it goes out")
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")[0], 0)
        self.noticed(1)
        self.deferd_sees_nothing()
        self.sendmail("-f", "bob@bad.example")
        self.innocent()
        # From outside, with a sender that is none of ours: not held, but put off too.
        self.assertEqual(self.send("forged@bad.example", ["joe@far.example"])[0], 250)
        until(lambda: self.accepted() == 2 * ["eve@good.example"], "an innocent one goes out")
        until(lambda: self.put_off() == 2, "each of the others is put off")
        self.daemon.process.send_signal(signal.SIGCONT)
        until(lambda: sorted(self.states().values()) == ["held", "queued"], "the script's is held")
        self.assertEqual(self.put_off(), 2, "and was put off once")
        self.assertIn("dsn=4.7.1, status=deferred (Mail of bad.example was stopped by the administrator.",
                      self.postfix.log())
        self.assertEqual(self.counts("bad.example"), (0, 0, 0), "our own words are nobody's failure")
        self.assertEqual(self.daemon.ctl("unblock", "bad.example", "--reason", "test")[0], 0)
        until(lambda: self.states() == {}, "both go out", limit=UNNOTICED)
        self.assertEqual(sorted(self.accepted()),
                         ["bob@bad.example", "eve@good.example", "eve@good.example", "forged@bad.example"])

    def test_a_script_that_names_no_sender_is_put_off_too(self):
        self.start(with_net=True)
        self.innocent()
        until(lambda: self.accepted() == ["eve@good.example"], "it goes out")
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")[0], 0)
        until(lambda: "\nroot " in self.table(), "root's own address is in the table")
        self.noticed(1)
        self.deferd_sees_nothing()
        self.sendmail()
        until(lambda: self.put_off() == 1, "it is put off")
        self.daemon.process.send_signal(signal.SIGCONT)
        until(lambda: list(self.states().values()) == ["held"], "it is held")
        self.assertEqual(self.accepted(), ["eve@good.example"])
        self.assertEqual(self.counts("bad.example"), (0, 0, 0), "our own words are nobody's failure")
        self.assertEqual(self.daemon.ctl("unblock", "bad.example", "--reason", "test")[0], 0)
        until(lambda: len(self.accepted()) == 2, "it goes out", limit=UNNOTICED)
        self.assertRegex(self.accepted()[1], "^root@")

    def test_who_is_let_go_of_is_not_put_off(self):
        self.start(with_net=True)
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")[0], 0)
        until(lambda: "@bad.example" in self.table(), "it is in the table")
        self.sendmail("-f", "bob@bad.example")
        until(lambda: list(self.states().values()) == ["held"], "it is held")
        self.assertEqual(self.daemon.ctl("queue", "release", "bad.example")[0], 0)
        until(lambda: self.accepted() == ["bob@bad.example"], "it goes out though its sender is blocked",
              limit=UNNOTICED)
        until(lambda: "@bad.example" in self.table(), "and the next is put off again")

    def test_a_table_that_cannot_be_written_stops_nothing_else(self):
        self.start()
        mine = self.waiting()
        os.rename(self.daemon.path("programs/postmap"), self.daemon.path("programs/was-postmap"))
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")[0], 0)
        until(lambda: self.state_of(mine) == "held", "queued mail is held")
        until(lambda: "SENDER TABLE NOT WRITTEN" in self.daemon.ctl("status")[1], "status tells")
        os.rename(self.daemon.path("programs/was-postmap"), self.daemon.path("programs/postmap"))
        until(lambda: "@bad.example" in self.table(), "it is written then", limit=UNNOTICED)
        until(lambda: "SENDER TABLE" not in self.daemon.ctl("status")[1], "and nothing is told")

    def test_with_the_helper_stopped_nobody_is_put_off(self):
        self.start(with_net=True)
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")[0], 0)
        until(lambda: "@bad.example" in self.table(), "it is in the table")
        self.helper.process.kill()
        self.helper.stop()
        os.unlink(self.helper.socket)
        self.helper.start()
        self.assertIn("@bad.example", self.table(), "a crash changes nothing")
        self.helper.stop()
        self.assertNotIn("@bad.example", self.table())
        self.sendmail("-f", "bob@bad.example")
        until(lambda: self.accepted() == ["bob@bad.example"], "its mail flows", limit=UNNOTICED)

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
