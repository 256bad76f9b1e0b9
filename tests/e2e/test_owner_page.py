"""The owner's page, from the mail that carries its link to the release that its owner asks for."""

import re
import unittest
from html import unescape

from deferd_process import DeferdTest, message
from notice_sinks import Mailbox
from redis_server import until
from test_api import UnixConnection

CONFIG = """
[api]
listen = "unix:{{folder}}/api.sock"
owner_page = "https://mail.test.example/"
[notice.outside]
type = "mail"
host = "127.0.0.1:{port}"
owners = "{{folder}}/owners"
batch = "1s"
on = ["blocked"]
[notice.inside]
type = "mail"
host = "127.0.0.1:{port}"
owner = "postmaster@{{domain}}"
batch = "1s"
on = ["blocked"]
"""
POLICY = """
[rule.few]
min_bad = 5
percent = 50
owner_release = true
"""
LINK = re.compile(r"https://mail\.test\.example(/case/[A-Za-z0-9._-]+)")


def mailbox_full(recipient):
    return message("failed", recipient=recipient).replace("550 5.1.1 User unknown", "552 5.2.2 Mailbox full")


class OwnerPageTest(DeferdTest):
    def ask(self, deferd, path, body=None):
        """(status, page) of a request as a browser sends it."""
        connection = UnixConnection(deferd.path("api.sock"))
        headers = {"Sec-Fetch-Site": "none"}
        if body is not None:
            headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, unescape(text)

    def blocked(self):
        """A daemon that has blocked bad.example, and the link of its owner's mail."""
        mailbox = Mailbox()
        self.addCleanup(mailbox.close)
        deferd = self.deferd(config=CONFIG.format(port=mailbox.port), policy=POLICY,
                             files={"owners": "bad.example: owner@else.example\n"})
        deferd.wait_log("answers are checked")
        for number in range(5):
            deferd.append(mailbox_full(f"full{number}@far.example"))
        until(lambda: len(mailbox.mails) == 2, "both owners have the mail")
        texts = {mail.envelope[1][0]: mailbox.text(mail) for mail in mailbox.mails}
        self.assertNotRegex(texts["postmaster@bad.example"], LINK, "whoever blocked it may read its mail")
        return deferd, LINK.search(texts["owner@else.example"]).group(1)

    def test_the_owner_reads_why_and_releases_once(self):
        deferd, path = self.blocked()
        # A receipt comes a moment after the block.
        until(lambda: 'name="secret"' in self.ask(deferd, path)[1], "the owner may release",
              every=2)  # one link is answered so often, not more often
        status, page = self.ask(deferd, path)
        self.assertEqual(status, 200)
        for part in ("bad.example", "mailboxes are full", "What to do", "full4@far.example"):
            self.assertIn(part, page)
        self.assertEqual(self.ask(deferd, "/console.css")[0], 200)
        self.assertEqual(self.ask(deferd, "/")[0], 401, "there is no console")
        secret = re.search(r'name="secret" value="([^"]+)"', page).group(1)
        self.assertEqual(self.ask(deferd, path, "secret=x")[0], 403)
        self.assertEqual(self.ask(deferd, path, f"secret={secret}")[0], 303)
        deferd.wait_log("by owner: done")
        self.assertIn("the block has ended", self.ask(deferd, path)[1])
        self.assertEqual(deferd.json("check", "bad.example")["verdict"], "pass")
        (ended,) = [one for one in deferd.json("blocks", "--all") if one["subject"] == "bad.example"]
        self.assertEqual(ended["closed_by"], "owner")
        self.assertFalse([line for line in deferd.lines if path[6:] in line], "a link is a secret")

    def test_links_are_made_and_revoked(self):
        deferd, path = self.blocked()
        made = deferd.json("link", "make", "bad.example")
        other = LINK.fullmatch(made["link"]).group(1)
        self.assertEqual(self.ask(deferd, other)[0], 200)
        self.assertEqual(self.ask(deferd, other[:-1])[0], 404)
        self.assertEqual(deferd.ctl("link", "revoke")[0], 0)
        for link in (path, other):
            self.assertEqual(self.ask(deferd, link)[0], 404)
        self.assertEqual(deferd.ctl("link", "make", "good.example")[0], 1)
        self.assertIn("https://mail.test.example/case/", deferd.ctl("link", "make", "bad.example")[1])


if __name__ == "__main__":
    unittest.main()
