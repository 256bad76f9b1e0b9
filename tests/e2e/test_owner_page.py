"""The owner's page, from the mail that carries its link to the release that its owner asks for."""

import re
import time
import unittest
from api_client import UnixConnection, answer_to
from html import unescape

from deferd_process import DeferdTest, message
from notice_sinks import Mailbox
from redis_server import Redis, until

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


class OwnerDaemonTest(DeferdTest):
    def ask(self, deferd, path, body=None):
        """(status, page) of a request as a browser sends it."""
        headers = {"Sec-Fetch-Site": "none"}
        if body is not None:
            headers = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
        status, _, text = answer_to(UnixConnection(deferd.path("api.sock")), "GET" if body is None else "POST",
                                    path, body, headers)
        return status, unescape(text)


class OwnerPageTest(OwnerDaemonTest):
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

SHARED_CONFIG = """
[api]
listen = "unix:{{folder}}/api.sock"
owner_page = "https://mail.test.example/"
[shared]
redis = "{url}"
"""


class OwnersOfTwoNodesTest(OwnerDaemonTest):
    """Two nodes share a Redis; each has a page of its own, since each has its own key."""

    def nodes(self):
        # A window whose steps are short: what came in the step of a release does not count.
        policy = POLICY + 'window = "2m"\n'
        redis = Redis()
        self.addCleanup(redis.remove)
        daemons = [self.deferd(config=SHARED_CONFIG.format(url=redis.url), policy=policy) for _ in range(2)]
        for daemon in daemons:
            daemon.wait_log("answers are checked")
        return daemons

    def full(self, daemon, name, times=5):
        for number in range(times):
            daemon.append(mailbox_full(f"{name}{number}@far.example"))

    def link(self, daemon):
        """The path of the page of the case that is open, once the node knows of one."""
        until(lambda: daemon.json("blocks"), "the block is known")
        return LINK.fullmatch(daemon.json("link", "make", "bad.example")["link"]).group(1)

    def release(self, daemon, path):
        """(status, page) of the form that the page has, or would have."""
        page = until(lambda: (lambda text: 'name="secret"' in text and text)(self.ask(daemon, path)[1]),
                     "the owner may release", every=2)
        secret = re.search(r'name="secret" value="([^"]+)"', page).group(1)
        return self.ask(daemon, path, f"secret={secret}")

    def counted(self, daemon):
        return daemon.json("why", "bad.example")["window"]["bad"]

    def test_what_another_node_counts_just_then_forbids_it(self):
        one, two = self.nodes()
        self.full(one, "full")
        path = self.link(one)
        page = until(lambda: (lambda text: 'name="secret"' in text and text)(self.ask(one, path)[1]),
                     "the owner may release", every=2)
        secret = re.search(r'name="secret" value="([^"]+)"', page).group(1)
        self.full(two, "later", times=1)
        until(lambda: self.counted(two) == 6, "the other node has counted it")
        until(lambda: self.counted(one) == 6, "and this one knows")
        for status, page in (self.ask(one, path), self.ask(one, path, f"secret={secret}")):
            self.assertIn("not all answers of the receiving servers are known here", page)
        self.assertEqual(status, 409)
        self.assertEqual(len(one.json("blocks")), 1, "it is still blocked")

    def test_a_release_on_one_node_is_the_days_release_on_all(self):
        one, two = self.nodes()
        self.full(one, "full")
        path = self.link(one)
        self.assertEqual(self.release(one, path)[0], 303)
        one.wait_log("by owner: done")
        until(lambda: not two.json("blocks") and two.json("blocks", "--all"), "the other node knows of the end")
        (ended,) = two.json("blocks", "--all")
        self.assertEqual(ended["closed_by"], "owner")
        until(lambda: self.counted(two) == 0, "both count anew")
        until(lambda: (self.full(two, f"again{time.time_ns()}"), two.json("blocks"))[1], "it is blocked again")
        for daemon in (two, one):
            status, page = self.ask(daemon, self.link(daemon))
            self.assertEqual(status, 200)
            self.assertIn("you have done so within the last 24 hours", page)
            self.assertNotIn('name="secret"', page)


if __name__ == "__main__":
    unittest.main()
