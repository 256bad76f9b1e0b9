"""The console as people use it, in a headless Chromium (console_stories.mjs)."""

import json
import os
import shutil
import subprocess
import unittest

from deferd_process import BIN, DEFERCTL, SOURCE, DeferdTest, stamp

CONSOLE = """
[api]
listen = "127.0.0.1:0"
console = true
[ledger]
subjects = true
"""
HOSTILE = "<img src=x onerror=alert(1)>"


def modules():
    """playwright-core and axe-core, of the versions that browser/package-lock.json names."""
    folder = os.path.join(os.path.dirname(os.path.dirname(BIN)), "browser")
    if not os.path.isdir(os.path.join(folder, "node_modules", "axe-core")):
        os.makedirs(folder, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(SOURCE, "tests", "e2e", "browser", name), folder)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True,
                       capture_output=True, timeout=300)
    return folder


def mail(number, recipient, answer, seconds_ago):
    """A message of bob's that `answer` refused."""
    identity = f"1rAbcd-0000{number:02d}-AB"
    return (f"{stamp(seconds_ago)} {identity} <= bob@bad.example H=client [192.0.2.1] P=esmtpsa "
            f"A=dovecot:bob@bad.example S=700 T=\"{HOSTILE} {number}\"\n"
            f"{stamp(seconds_ago)} {identity} ** {recipient} F=<bob@bad.example> R=dnslookup T=remote_smtp "
            f"H=mx1.far.example [198.51.100.7]: {answer}\n"
            f"{stamp(seconds_ago)} {identity} Completed\n")


class ConsoleBrowserTest(DeferdTest):
    def test_stories(self):
        deferd = self.deferd(config=CONSOLE)
        deferd.wait_log("answers are checked")
        text = ""
        for number in range(8):
            text += mail(number, f"nobody{number}@far.example", f"SMTP error from remote mail server after RCPT TO: "
                         f"550 5.1.1 {HOSTILE} user unknown", 600 - number)
        deferd.append(text)
        deferd.wait_log("BLOCKED")
        address = deferd.json("status")["listening"]["api"]
        tokens = {}
        for name, *arguments in (("admin", "--role", "admin"), ("support", "--role", "support"), ("viewer",),
                                 ("reseller", "--domains", "good.example")):
            tokens[name] = json.loads(deferd.ctl("--json", "token", "add", name, *arguments)[1])["token"]
        done = subprocess.run(
            ["node", os.path.join(SOURCE, "tests", "e2e", "console_stories.mjs")], capture_output=True, text=True,
            timeout=600,
            env={**os.environ, "CONSOLE_MODULES": modules(), "CONSOLE_URL": f"http://{address}",
                 "CONSOLE_TOKENS": json.dumps(tokens), "CONSOLE_MESSAGE": "1rAbcd-000003-AB",
                 "CONSOLE_CHROMIUM": shutil.which("chromium") or "", "CONSOLE_DEFERCTL": DEFERCTL,
                 "DEFERD_SOCKET": deferd.admin})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
