"""The console over its socket, as a browser without script uses it: log in, read, act, log out. Its looks and its script are
test_console_browser.py's."""

import json
import re
import unittest

from api_client import UnixConnection, answer_to
from deferd_process import DeferdTest

CONSOLE = """
[api]
listen = "unix:{folder}/api.sock"
console = true
"""


class ConsoleTest(DeferdTest):
    def ask(self, deferd, method, path, form=None, cookie=""):
        """(status, headers, text)"""
        return answer_to(UnixConnection(deferd.path("api.sock")), method, path, form,
                         {"Cookie": cookie} if cookie else {})

    def log_in(self, deferd, *arguments):
        """(cookie, csrf) of a token with these arguments."""
        token = deferd.json("token", "add", *arguments)["token"]
        status, headers, page = self.ask(deferd, "GET", "/login")
        self.assertEqual(status, 200)
        key = re.search(r'name="key" value="([^"]+)"', page).group(1)
        form = {"token": token, "zone": "Europe/Berlin", "key": key}
        status, headers, _ = self.ask(deferd, "POST", "/login", form, headers["Set-Cookie"].split(";")[0])
        self.assertEqual(status, 303)
        cookie = headers["Set-Cookie"].split(";")[0]
        page = self.ask(deferd, "GET", "/", cookie=cookie)[2]
        return cookie, re.search(r'name="csrf" value="([^"]+)"', page).group(1)

    def test_off_unless_configured(self):
        deferd = self.deferd(config='[api]\nlisten = "unix:{folder}/api.sock"\n')
        status, headers, _ = self.ask(deferd, "GET", "/")
        self.assertEqual((status, headers["Content-Type"]), (401, "application/problem+json"))

    def test_support_finds_the_cause_and_unblocks(self):
        deferd = self.blocked(config=CONSOLE)
        cookie, csrf = self.log_in(deferd, "help-desk", "--role", "support")
        status, headers, page = self.ask(deferd, "GET", "/", cookie=cookie)
        self.assertEqual(status, 200)
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        self.assertIn('href="/subject?name=bad.example"', page)
        page = self.ask(deferd, "GET", "/subject?name=bad.example", cookie=cookie)[2]
        for words in ("CANNOT SEND", "bob@bad.example", "The last day", "Newest messages"):
            self.assertIn(words, page)
        page = self.ask(deferd, "GET", "/track?outcome=failed", cookie=cookie)[2]
        self.assertIn("undelivered", page)
        link = re.search(r'href="(/message[?]id=[^"]+)"', page).group(1)
        self.assertIn("What to do", self.ask(deferd, "GET", link, cookie=cookie)[2])
        status, headers, text = self.ask(deferd, "GET", "/track.csv?outcome=failed", cookie=cookie)
        self.assertEqual((status, headers["Content-Type"]), (200, "text/csv; charset=utf-8"))
        self.assertIn("bob@bad.example", text)

        form = {"do": "unblock", "subject": "bad.example", "reason": "cleaned"}
        self.assertEqual(self.ask(deferd, "POST", "/act", form, cookie)[0], 403)
        self.assertEqual(deferd.json("check", "bad.example")["verdict"], "reject")
        status, headers, _ = self.ask(deferd, "POST", "/act", {**form, "csrf": csrf}, cookie)
        self.assertEqual((status, headers["Location"]), (303, "/subject?name=bad.example&done=1"))
        self.assertEqual(deferd.json("check", "bad.example")["verdict"], "pass")
        self.assertIn("token:help-desk", json.dumps(deferd.json("why", "bad.example")))
        self.assertEqual(self.ask(deferd, "POST", "/logout", {"csrf": csrf}, cookie)[0], 303)
        self.assertEqual(self.ask(deferd, "GET", "/", cookie=cookie)[0], 303)

    def test_every_page_is_answered(self):
        deferd = self.blocked(config=CONSOLE)
        cookie, _ = self.log_in(deferd, "boss", "--role", "admin")
        for path in ("/", "/subject?name=good.example", "/subject?name=%3Cb%3E", "/track", "/track?code=x", "/message?id=x",
                     "/queue", "/destinations", "/explain?text=550+5.1.1", "/policy", "/console.css", "/console.js"):
            self.assertEqual(self.ask(deferd, "GET", path, cookie=cookie)[0], 200, path)
        self.assertEqual(self.ask(deferd, "GET", "/nothing", cookie=cookie)[0], 404)

    def test_a_page_hears_of_a_block(self):
        deferd = self.deferd(config=CONSOLE)
        cookie, _ = self.log_in(deferd, "desk")
        connection = UnixConnection(deferd.path("api.sock"))
        connection.request("GET", "/live", headers={"Cookie": cookie})
        answer = connection.getresponse()
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
        self.assertEqual(deferd.ctl("block", "bad.example", "--for", "1h", "--reason", "a test")[0], 0)
        self.assertEqual(answer.fp.readline().strip() and answer.fp.readline().decode(), "event: change\n")
        connection.close()


if __name__ == "__main__":
    unittest.main()
