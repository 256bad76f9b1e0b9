"""deferd's own mail through the mail server that it watches, while that server's local mail is blocked:
it goes out, and is charged to nobody. What others send the same way is stopped and counted."""

import socketserver
import subprocess
import threading
import unittest

from deferd_process import LIMIT, DeferdTest, message
from exim_process import EXIM, EximTest, main
from notice_sinks import Mailbox
from postfix_process import PostfixTest
from redis_server import until

LOCAL = "127.0.0.1.4321"

NOTICE = """
[notice.admins]
type = "mail"
host = "127.0.0.1:{port}"
from = "deferd@mx.test.example"
to = [{to}]
batch = "1s"
timeout = "20s"
on = ["blocked", "unblocked"]
"""


class _EximSession(socketserver.BaseRequestHandler):
    """As inetd runs Exim: the socket is its standard input, so that it sees the client's port."""

    def handle(self):
        subprocess.run([EXIM, "-C", self.server.config, "-odq", "-bs"], stdin=self.request, stdout=self.request,
                       timeout=LIMIT, check=False)


class EximDoor(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _EximSession)
        self.config = None
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


class ThroughExim(EximTest):
    def test_a_notice_passes_the_block_it_tells_of_and_is_charged_to_nobody(self):
        door = EximDoor()
        self.addCleanup(door.close)
        self.begin(config=NOTICE.format(port=door.port, to='"nouser@far.example"'))
        door.config = self.config
        # What a local program sends without a sender counts for this host.
        self.session([("", ["nouser2@far.example"])], client=LOCAL)
        self.exim("-q")
        self.assertEqual(self.window("host:127.0.0.1"), (0, 0, 1))
        self.assertEqual(self.daemon.ctl("block", "host:127.0.0.1", "--for", "1h", "--reason", "hacked")[0], 0)
        until(lambda: "id=deferd." in self.log(), "Exim has accepted the notice")
        self.session([("", ["ann@far.example"])], client=LOCAL)
        until(lambda: self.log().count("Q=deferd-held") == 1, "Exim holds what is not deferd's")
        self.exim("-q")
        until(lambda: ("", "nouser@far.example") in self.sink.tried, "it was tried and refused")
        self.assertEqual(self.window("host:127.0.0.1"), (0, 0, 1))

    def begin(self, **options):
        super().begin(**options)
        self.sink.tried = []
        self.sink.rejected = lambda sender, recipient: self.sink.tried.append((sender, recipient))


class ThroughPostfix(PostfixTest):
    def test_a_notice_passes_the_block_it_tells_of_and_is_charged_to_nobody(self):
        self.begin()
        tried = []
        self.sink.rejected = lambda sender, recipient: tried.append((sender, recipient))
        self.assertEqual(self.postfix.send("", ["nouser2@far.example"], client="127.0.0.1")[0], 250)
        until(lambda: self.counts("host:127.0.0.1") == (0, 0, 1), "it counts for this host")
        # The sinks of deferd.toml are read again with the policy.
        with open(self.daemon.config_path, "a", encoding="utf-8") as config:
            config.write(NOTICE.format(port=self.postfix.port, to='"nouser@far.example"'))
        self.assertEqual(self.daemon.ctl("reload")[0], 0)
        self.assertEqual(self.daemon.ctl("block", "host:127.0.0.1", "--for", "1h", "--reason", "hacked")[0], 0)
        until(lambda: ("", "nouser@far.example") in tried, "Postfix has tried to deliver the notice")
        self.postfix.send("", ["ann@far.example"], client="127.0.0.1")
        until(lambda: ": hold: " in self.postfix.log(), "Postfix holds what is not deferd's")
        self.assertEqual(self.counts_of_all(), (0, 0, 1))

    def counts_of_all(self):
        """After all that Postfix has logged: a message of somebody else comes last."""
        until(lambda: "nouser@far.example" in self.postfix.log().rsplit("status=", 1)[0], "it is logged")
        self.assertEqual(self.postfix.send("z@last.example", ["z@far.example"], "z@last.example")[0], 250)
        until(lambda: self.counts("last.example")[0] == 1, "the last message is counted")
        return self.counts("host:127.0.0.1")


class Sinks(DeferdTest):
    def block(self, daemon):
        daemon.append("".join(message("failed") for _ in range(5)))
        daemon.wait_log("BLOCKED")

    def test_of_several_recipients_only_the_one_that_has_not_heard_it_is_tried_again(self):
        mailbox = PickyMailbox()
        self.addCleanup(mailbox.close)
        daemon = self.deferd(config=NOTICE.format(port=mailbox.port, to='"ann@far.example", "busy@far.example"'))
        daemon.wait_log("answers are checked")
        self.block(daemon)
        daemon.wait_log("is tried again later")
        self.assertEqual([mail.envelope[1] for mail in mailbox.mails], [["ann@far.example"]])
        delivery, = daemon.json("notice", "list")[0]["deliveries"]
        self.assertEqual(delivery["state"], "pending")
        mailbox.busy = False
        until(lambda: daemon.json("status")["notices"]["delivered"] == 1, "the other has it too")
        self.assertEqual([mail.envelope[1] for mail in mailbox.mails],
                         [["ann@far.example"], ["busy@far.example"]])
        self.assertIn("deferd_notices_failed_total 1", daemon.http("/metrics")[1])

    def test_a_bad_notice_table_keeps_those_in_force_and_says_so(self):
        mailbox = Mailbox()
        self.addCleanup(mailbox.close)
        owners = 'owners = "{folder}/owners"\nowner = "postmaster@{domain}"'
        daemon = self.deferd(config=NOTICE.format(port=mailbox.port, to="").replace("to = []", owners),
                             files={"owners": "bad.example: first@owner.example\n"})
        daemon.wait_log("answers are checked")
        daemon.write("owners", "bad.example first@owner.example klingon\n")
        status, _, error = daemon.ctl("reload")
        self.assertEqual(status, 1)
        self.assertIn("owners:1", error)
        self.block(daemon)
        until(lambda: mailbox.mails, "the owner in force has the mail")
        self.assertEqual(mailbox.mails[0].envelope[1], ["first@owner.example"])
        daemon.write("owners", "bad.example: second@owner.example de\n")
        status, page, _ = daemon.ctl("reload")
        self.assertEqual(status, 0)
        self.assertIn("[notice]", page)
        daemon.ctl("unblock", "bad.example", "--reason", "changed")
        until(lambda: len(mailbox.mails) == 2, "the new owner has the next")
        self.assertEqual(mailbox.mails[1].envelope[1], ["second@owner.example"])
        self.assertIn("Mailversand wieder frei", mailbox.text(mailbox.mails[1]))

    def test_forget_removes_what_was_told_and_what_waits(self):
        mailbox = Mailbox()
        self.addCleanup(mailbox.close)
        mailbox.answer = "550 nobody here"
        daemon = self.deferd(config=NOTICE.format(port=mailbox.port, to='"ann@far.example"'))
        daemon.wait_log("answers are checked")
        self.block(daemon)
        until(lambda: daemon.json("status")["notices"]["dead"] == 1, "it is dead")
        page = daemon.ctl("forget", "bad.example", "--dry-run")[1]
        self.assertIn("1 notice", page)
        self.assertEqual(len(daemon.json("notice", "list")), 1)
        self.assertIn("1 notice", daemon.ctl("forget", "bad.example")[1])
        self.assertEqual(daemon.json("notice", "list"), [])
        daemon.stop()
        with open(daemon.path("state/state.db"), "rb") as file:
            self.assertNotIn(b":blocked", file.read())
        daemon.start()
        daemon.wait_log("answers are checked")
        self.assertEqual(daemon.json("notice", "list"), [])


class PickyMailbox(Mailbox):
    """Has no room for busy@ while it is busy."""
    busy = True

    def answer_data(self, sender, recipients):
        if self.busy and recipients == ["busy@far.example"]:
            return "451 4.2.2 no room now"
        return super().answer_data(sender, recipients)


if __name__ == "__main__":
    main(unittest)
