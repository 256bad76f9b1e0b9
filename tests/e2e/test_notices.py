"""People hear of what deferd does: a block on a real Exim, sinks that misbehave, and kill -9."""

import hashlib
import hmac
import json
import os
import sqlite3
import subprocess
import time
import unittest

from deferd_process import BIN, LIMIT, DeferdTest, message
from exim_process import EximTest, main
from notice_sinks import Mailbox, Webhook
from redis_server import until

HOOK = """
[notice.hook]
type = "webhook"
url = "{url}"
secret_file = "{{folder}}/secret"
allow_private = true
batch = "1s"
timeout = "2s"
on = ["blocked", "unblocked"]
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def events(hook):
    return [event for _, body in hook.requests for event in json.loads(body)["events"]]


class Owner(EximTest):
    def test_the_owner_of_a_blocked_domain_reads_cause_culprit_and_remedy(self):
        mailbox = Mailbox()
        self.addCleanup(mailbox.close)
        self.begin(config=f"""
[notice.owner]
type = "mail"
host = "127.0.0.1:{mailbox.port}"
from = "deferd@mx.test.example"
owner = "postmaster@{{domain}}"
batch = "1s"
""")
        self.blocked_by_its_bounces()
        until(lambda: mailbox.mails, "the owner has the mail")
        (mail,) = mailbox.mails
        self.assertEqual(mail.envelope, ("", ["postmaster@bad.example"]))
        self.assertEqual(mail["Auto-Submitted"], "auto-generated")
        self.assertEqual(mail["Subject"], "bad.example: mail stopped")
        text = mailbox.text(mail)
        self.assertIn("Who: bob@bad.example: 5 of 5 failed or deferred", text)
        self.assertIn("What: 5 addresses do not exist", text)
        self.assertIn("Cause: ", text)
        self.assertIn("To do: ", text)
        self.assertIn("Limit: 5 of 5 deliveries failed or were deferred (100%)", text)
        self.daemon.ctl("unblock", "bad.example", "--reason", "password changed")
        until(lambda: len(mailbox.mails) == 2, "the owner hears of the end")
        self.assertEqual(mailbox.mails[1]["References"], mail["References"])
        self.assertIn("password changed", mailbox.text(mailbox.mails[1]))


class Hooks(DeferdTest):
    def setUp(self):
        self.hook = Webhook()
        self.addCleanup(self.hook.close)
        self.daemon = None

    def begin(self, config=None):
        self.daemon = self.deferd(config=(config or HOOK.format(url=self.hook.url)),
                                  files={"secret": "topsecret"})
        self.daemon.wait_log("answers are checked")

    def block(self):
        self.daemon.append("".join(message("failed") for _ in range(5)))
        self.daemon.wait_log("BLOCKED")

    def delivered(self):
        return self.daemon.json("status")["notices"]["delivered"]

    def stored(self):
        """Whether the disk knows that the sink has heard it."""
        with sqlite3.connect(f"file:{self.daemon.path('state/state.db')}?mode=ro", uri=True) as db:
            # In MessagePack "state": 1.
            return any("A5737461746501" in text for (text,) in db.execute("SELECT hex(text) FROM notice"))

    def test_events_are_signed_and_told_once(self):
        self.begin()
        self.block()
        until(lambda: self.hook.requests, "the server has the event")
        (headers, body), = self.hook.requests
        signed = hmac.new(b"topsecret", f"{headers['X-Deferd-Timestamp']}.".encode() + body,
                          hashlib.sha256).hexdigest()
        self.assertEqual(headers["X-Deferd-Signature"], "sha256=" + signed)
        (event,) = events(self.hook)
        self.assertEqual((event["event"], event["subject"]), ("blocked", "bad.example"))
        until(self.stored, "the disk knows that it was delivered")
        listed = self.daemon.json("notice", "list")
        self.assertEqual([one["deliveries"][0]["state"] for one in listed], ["delivered"])
        self.daemon.process.kill()
        self.daemon.stop()
        self.daemon.start()
        self.daemon.wait_log("answers are checked")
        self.assertEqual(self.daemon.ctl("notice", "test", "hook")[0], 0)
        self.assertEqual([one["event"] for one in events(self.hook)], ["blocked", "test"])

    def test_a_server_that_hangs_refuses_and_comes_back_hears_it_once(self):
        self.begin()
        self.hook.hangs.set()
        self.block()
        self.daemon.wait_log("is tried again later")
        # Answers to the mail server do not wait for it.
        begin = time.monotonic()
        self.assertTrue(self.daemon.ask("check bad.example").startswith("reject"))
        self.assertLess(time.monotonic() - begin, 1)
        self.daemon.process.kill()
        self.daemon.stop()
        self.hook.hangs.clear()
        self.daemon.start()
        self.daemon.wait_log("answers are checked")
        until(lambda: events(self.hook), "the server has the event")
        until(lambda: self.delivered() == 1, "it is delivered")
        self.assertEqual([one["event"] for one in events(self.hook)], ["blocked"])

    def test_what_is_refused_for_good_is_dead_until_a_person_retries_it(self):
        self.begin()
        self.hook.status = 302  # redirects are not followed
        self.block()
        self.daemon.wait_log("refused")
        notices = self.daemon.json("status")["notices"]
        self.assertEqual((notices["dead"], notices["pending"]), (1, 0))
        self.assertIn("deferctl notice list", self.daemon.ctl("doctor")[1])
        self.assertIn('deferd_notices{state="dead"} 1', self.daemon.http("/metrics")[1])
        self.hook.status = 200
        self.assertEqual(self.daemon.ctl("notice", "retry")[0], 0)
        until(lambda: self.delivered() == 1, "it is delivered")

    def test_a_private_network_is_refused_unless_it_is_allowed(self):
        self.begin(HOOK.format(url=self.hook.url).replace("allow_private = true\n", ""))
        status, _, error = self.daemon.ctl("notice", "test", "hook")
        self.assertEqual(status, 1)
        self.assertIn("private network", error)
        self.assertEqual(self.hook.requests, [])


class Commands(DeferdTest):
    SCRIPT = """#!/bin/sh
cat >> {folder}/heard
case $1 in
hang) sleep 600 & echo $$ $! > {folder}/pids; sleep 600 ;;
fail) echo "no such account" >&2; exit 1 ;;
esac
"""

    def begin(self, argument):
        self.daemon = self.deferd(config="""
[notice.act]
type = "command"
socket = "{folder}/notify.sock.cmd"
timeout = "1s"
on = ["blocked"]
batch = "1s"
""")
        script = self.daemon.write("act", self.SCRIPT.format(folder=self.daemon.folder))
        os.chmod(script, 0o755)
        self.notify = subprocess.Popen(
            [os.path.join(BIN, "deferd-notify"), "--socket", self.daemon.path("notify.sock.cmd"), "--user",
             "root", script, argument], stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        line = self.notify.stderr.readline()
        self.assertIn("listening", line)
        with open(self.daemon.path("notify.sock.cmd.pid"), encoding="utf-8") as file:
            self.assertEqual(int(file.read()), self.notify.pid)  # whom the package's removal ends
        self.daemon.wait_log("answers are checked")

    def end(self):
        self.notify.terminate()
        self.notify.wait(LIMIT)
        self.assertFalse(os.path.exists(self.daemon.path("notify.sock.cmd.pid")))
        self.notify.stderr.close()

    def heard(self):
        try:
            with open(self.daemon.path("heard"), encoding="utf-8") as file:
                return [json.loads(line) for line in file]
        except FileNotFoundError:
            return []

    def block(self):
        self.daemon.append("".join(message("failed") for _ in range(5)))
        self.daemon.wait_log("BLOCKED")

    def test_a_command_gets_the_event_on_standard_input(self):
        self.begin("ok")
        self.block()
        until(lambda: self.daemon.json("status")["notices"]["delivered"] == 1, "it is delivered")
        (event,) = self.heard()
        self.assertEqual((event["event"], event["domain"]), ("blocked", "bad.example"))

    def test_one_that_hangs_is_killed_with_its_children(self):
        self.begin("hang")
        self.block()
        self.assertIn("did not finish", self.daemon.wait_log("is tried again later"))
        with open(self.daemon.path("pids"), encoding="utf-8") as file:
            pids = file.read().split()
        until(lambda: not any(alive(pid) for pid in pids), "the command and its child are dead")

    def test_one_that_fails_says_why(self):
        self.begin("fail")
        self.block()
        self.assertIn("no such account", self.daemon.wait_log("is tried again later"))


if __name__ == "__main__":
    main(unittest)
