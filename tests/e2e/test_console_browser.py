"""The console as people use it, in a headless Chromium (console_stories.mjs): every page, every role, every row of the two
help pages. CONSOLE_SHOTS, a folder, gets a picture of every page."""

import json
import os
import re
import shutil
import socketserver
import subprocess
import threading
import unittest

from deferd_process import BIN, DEFERCTL, SOURCE, DeferdTest, message, stamp

CONSOLE = """
[api]
listen = "127.0.0.1:0"
console = true
owner_page = "https://mail.test.example"
[ledger]
subjects = true
[queue]
helper = "{folder}/queue.sock"
"""
POLICY = """
[rule.few]
min_bad = 5
percent = 50
warn_at = 0.6
owner_release = true
action = { submission = "reject", local = "hold", queued = "hold", relay = "hold" }
"""
HOSTILE = "<img src=x onerror=alert(1)>"
UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|E50[234]|proxy", re.I)


def modules():
    """playwright-core and axe-core, of the versions that browser/package-lock.json names."""
    folder = os.path.join(os.path.dirname(os.path.dirname(BIN)), "browser")
    with open(os.path.join(SOURCE, "tests", "e2e", "browser", "package-lock.json"), encoding="utf-8") as file:
        wanted = json.load(file)["packages"]
    for name, package in wanted.items():
        try:
            with open(os.path.join(folder, name, "package.json"), encoding="utf-8") as file:
                there = json.load(file)["version"] == package["version"]
        except (OSError, KeyError):
            there = name == ""
        if not there:
            break
    else:
        return folder
    os.makedirs(folder, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(SOURCE, "tests", "e2e", "browser", name), folder)
    try:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1",
                        "--fetch-timeout=20000"], cwd=folder, check=True, capture_output=True, text=True, timeout=100)
    except subprocess.TimeoutExpired as error:
        raise unittest.SkipTest("the registry of npm does not answer: the console is not tested in a browser") from error
    except subprocess.CalledProcessError as error:
        if not UNREACHABLE.search(error.stderr):
            raise AssertionError(error.stderr) from error
        raise unittest.SkipTest("the registry of npm cannot be reached: the console is not tested in a browser") from error
    return folder


class QueueStandIn(socketserver.ThreadingUnixStreamServer):
    """deferd-queue, with a queue that it makes up; it allows everything."""

    daemon_threads = True

    def __init__(self, path):
        super().__init__(path, self.Answers)
        self.mail = {}
        self.done = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def put(self, identity, sender, recipient, **more):
        self.mail[identity] = {"id": identity, "held": False, "ours": False, "frozen": False, "size": 700,
                               "sender": sender, "recipients": [recipient], "problem": "", **more}

    def answer(self, verb, args):
        if verb == "list":
            return list(self.mail.values())
        if verb == "defer":
            return {"table": None}
        ids = args.get("ids", []) + ([args["id"]] if "id" in args else [])
        if verb not in ("hold", "release", "give_back"):
            self.done.append([verb, *ids])
        for identity in ids:
            if identity in self.mail and verb in ("hold", "release"):
                self.mail[identity].update(held=verb == "hold", ours=verb == "hold")
            if verb in ("discard", "give_back"):
                self.mail.pop(identity, None)
        return {"not_done": {}}

    class Answers(socketserver.StreamRequestHandler):
        def handle(self):
            for text in self.rfile:
                request = json.loads(text)
                result = self.server.answer(request["verb"], request.get("args") or {})
                self.wfile.write(json.dumps({"ok": True, "result": result}).encode() + b"\n")


class Log:
    """Messages in the form that Exim logs them."""

    def __init__(self):
        self.text = ""
        self.number = 0

    def arrival(self, login, subject="Monday"):
        self.number += 1
        identity = f"1rAbcd-{self.number:06d}-AB"
        self.text += (f"{stamp(600 - self.number)} {identity} <= {login} H=client [192.0.2.1] P=esmtpsa "
                      f"A=dovecot:{login} S=700 T=\"{subject}\"\n")
        return identity

    def line(self, identity, flag, recipient, rest):
        self.text += f"{stamp(540 - self.number)} {identity} {flag} {recipient} {rest}\n"

    def answered(self, identity, flag, recipient, reply):
        code = "defer (-44) " if flag == "==" else ""
        self.line(identity, flag, recipient,
                  f"F=<x@x.example> R=dnslookup T=remote_smtp {code}H=mx1.far.example [198.51.100.7]: SMTP error "
                  f"from remote mail server after RCPT TO:<{recipient}>: {reply}")

    def delivered(self, identity, recipient):
        self.line(identity, "=>", recipient, 'R=dnslookup T=remote_smtp H=mx1.far.example [198.51.100.7] C="250 OK"')


def write_log(log):
    """The messages of the stories, by name."""
    ids = {}
    for number in range(8):  # bad.example, to be blocked
        ids["bad"] = log.arrival("bob@bad.example", f"{HOSTILE} {number}")
        log.answered(ids["bad"], "**", f"nobody{number}@far.example", f"550 5.1.1 {HOSTILE} user unknown")
    for number in range(3):  # near.example, to be warned
        log.answered(log.arrival("eve@near.example"), "**", f"x{number}@far.example", "550 5.1.1 No such user here")
    # One mistyped address, tried again and again.
    ids["typo"] = log.arrival("ann@typo.example")
    for _ in range(12):
        log.answered(ids["typo"], "==", "typpo@far.example", "450 4.1.1 User unknown")
    login = "kim@shop.example"
    for number in range(12):
        log.delivered(log.arrival(login, "Newsletter"), f"reader{number}@far.example")
    ids["sent"] = log.arrival(login)
    log.delivered(ids["sent"], "sent@far.example")
    ids["queued"] = log.arrival(login, "Invoice 7")
    ids["deferring"] = log.arrival(login)
    log.answered(ids["deferring"], "==", "deferring@far.example", "451 4.7.1 Greylisted, try again in 300 seconds")
    ids["failed"] = log.arrival(login, "To be told")
    log.answered(ids["failed"], "==", "failed@far.example", "451 4.7.1 Greylisted, try again later")
    log.answered(ids["failed"], "**", "failed@far.example", "550 5.1.1 No such user here")
    ids["expired"] = log.arrival(login)
    log.line(ids["expired"], "**", "expired@far.example:", "retry timeout exceeded")
    ids["held"] = log.arrival(login)
    log.text += f"{stamp()} {ids['held']} Message is frozen\n"
    ids["own"] = log.arrival(login)
    log.answered(ids["own"], "==", "own@list.example", "554 5.7.1 Service unavailable; Client host [192.0.2.25] "
                 "blocked using zen.spamhaus.org")
    return ids


# What only others than the mail server know (deferctl record).
RECORDS = (("archived", "archived@far.example", "copy kept"),
           ("rejected", "rejected@far.example", "554 5.7.1 Client host [192.0.2.9] blocked using zen.spamhaus.org"),
           ("filtered", "filtered@far.example", "moved to the spam folder"))


class ConsoleBrowserTest(DeferdTest):
    def test_stories(self):
        folder = modules()
        deferd = self.deferd(config=CONSOLE, policy=POLICY)
        queue = QueueStandIn(deferd.path("queue.sock"))
        self.addCleanup(queue.server_close)
        self.addCleanup(queue.shutdown)
        deferd.wait_log("answers are checked")
        log = Log()
        ids = write_log(log)
        deferd.append(log.text + "".join(message("delivered", "joe@busy.example") for _ in range(5)))
        deferd.wait_log("BLOCKED")
        records = [{"id": f"r{number}", "recipient": recipient, "login": "kim@shop.example", "outcome": outcome,
                    "reply": reply} for number, (outcome, recipient, reply) in enumerate(RECORDS)]
        path = deferd.write("records", "\n".join(map(json.dumps, records)) + "\n")
        self.assertEqual(deferd.json("record", path), {"recorded": 3})
        for name in ("queued", "deferring", "held"):
            queue.put(ids[name], "kim@shop.example", f"{name}@far.example", frozen=name == "held")
        address = deferd.json("status")["listening"]["api"]
        tokens = {}
        for name, *arguments in (("admin", "--role", "admin"), ("support", "--role", "support"), ("viewer",),
                                 ("reseller", "--domains", "shop.example")):
            tokens[name] = json.loads(deferd.ctl("--json", "token", "add", name, *arguments)[1])["token"]
        done = subprocess.run(
            ["node", os.path.join(SOURCE, "tests", "e2e", "console_stories.mjs")], capture_output=True, text=True,
            timeout=800,
            env={**os.environ, "CONSOLE_MODULES": folder, "CONSOLE_URL": f"http://{address}",
                 "CONSOLE_TOKENS": json.dumps(tokens), "CONSOLE_MESSAGES": json.dumps(ids),
                 "CONSOLE_CHROMIUM": shutil.which("chromium") or "", "CONSOLE_DEFERCTL": DEFERCTL,
                 "DEFERD_SOCKET": deferd.admin})
        print(done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(queue.done, [["requeue", ids["queued"]], ["redirect", ids["queued"]],
                                      ["discard", ids["deferring"]]])


if __name__ == "__main__":
    unittest.main()
