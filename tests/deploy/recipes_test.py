"""deploy/examples/on-deferd-event against stand-ins of the panels' programs."""

import json
import os
import subprocess
import tempfile
import unittest

SOURCE = os.environ["DEFERD_SOURCE"]
STAND_IN = """#!/bin/sh
printf '%s' "$(basename "$0")" >> {log}
for word; do printf '\\t%s' "$word" >> {log}; done
echo >> {log}
case $0 in *whoowns | *v-search-domain-owner) echo shopuser ;; esac
"""


class Recipes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.log = os.path.join(self.folder, "log")
        for name in ("uapi", "whmapi1", "plesk", "v-search-domain-owner", "v-suspend-mail-account", "da",
                     "whoowns"):
            path = os.path.join(self.folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(STAND_IN.format(log=self.log))
            os.chmod(path, 0o755)
        with open(os.path.join(SOURCE, "deploy/examples/on-deferd-event"), encoding="utf-8") as file:
            text = file.read().replace("/usr/local/cpanel/scripts/whoowns", self.folder + "/whoowns")
        self.script = os.path.join(self.folder, "on-deferd-event")
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(text)

    def act(self, action, subject, event="blocked"):
        subprocess.run(["python3", self.script, action], text=True, check=True, timeout=60,
                       input=json.dumps({"event": event, "subject": subject}),
                       env={**os.environ, "PATH": self.folder + ":" + os.environ["PATH"]})
        try:
            with open(self.log, encoding="utf-8") as file:
                return [line.rstrip("\n").split("\t") for line in file]
        except FileNotFoundError:
            return []

    def test_each_panel_gets_the_login(self):
        wanted = {
            "cpanel-suspend": ["uapi", "--user=shopuser", "Email", "suspend_outgoing",
                               "email=bob@shop.example"],
            "cpanel-password": ["uapi", "--user=shopuser", "Email", "passwd_pop", "email=bob",
                                "domain=shop.example"],
            "cpanel-hold": ["whmapi1", "hold_outgoing_email", "user=shopuser"],
            "plesk-password": ["plesk", "bin", "mail", "--update", "bob@shop.example", "-passwd"],
            "hestia-suspend": ["v-suspend-mail-account", "shopuser", "shop.example", "bob"],
            "directadmin-suspend": ["da", "taskq",
                                    "--run=action=suspend&type=email&domain=shop.example&user=bob"],
        }
        for action, words in wanted.items():
            with self.subTest(action):
                ran = self.act(action, "login:bob@shop.example")[-1]
                self.assertEqual(ran[:len(words)], words)

    def test_nothing_else_makes_it_act(self):
        for subject in ("shop.example", "", "login:-x@shop.example", "login:a;reboot@shop.example",
                        "login:bob@shop.example\n", "login:a&b@shop.example", "login:$(id)@shop.example",
                        "login:bob@-x.example", "host:127.0.0.1"):
            with self.subTest(subject):
                self.assertEqual(self.act("cpanel-hold", subject), [])
        self.assertEqual(self.act("cpanel-hold", "login:bob@shop.example", "unblocked"), [])


if __name__ == "__main__":
    unittest.main()
