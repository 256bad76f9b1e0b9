"""A real Postfix asks deferd, and deferd reads that Postfix's log.

The Postfix is a private instance: own configuration, queue and log, SMTP on a free loopback port, mail
handed to a sink of the test. Who is logged in is told by XCLIENT, so no SASL server is needed.
"""

import os
import shutil
import socket
import subprocess
import time
import unittest

from deferd_process import LIMIT, SOURCE, DeferdTest
from smtp_sink import SmtpSink

POSTFIX = os.environ.get("DEFERD_POSTFIX", "")  # tests/run.sh names it

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
import_environment = LD_LIBRARY_PATH, MAIL_CONFIG, TZ
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.test.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtp_dns_support_level = disabled
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_relay_restrictions = permit
smtpd_delay_reject = yes
smtp_tls_security_level = none
smtpd_tls_security_level = none
alias_maps =
alias_database =
relay_domains = far.example
relay_transport = smtp:[127.0.0.1]:{sink}
default_transport = smtp:[127.0.0.1]:{sink}
{ask}
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Smtp:
    """One session, line by line."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        self.file = self.socket.makefile("rb")
        self.read()

    def read(self):
        lines = []
        while True:
            line = self.file.readline().decode().rstrip("\r\n")
            lines.append(line)
            if not line or line[3:4] != "-":
                return "\n".join(lines)

    def say(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.read()

    def close(self):
        self.file.close()
        self.socket.close()


class PostfixAsks(DeferdTest):
    def setUp(self):
        self.sink = SmtpSink()
        self.addCleanup(self.sink.close)
        self.daemon = self.deferd(
            logs=(), hook='postfix = "unix:{folder}/queue/deferd/policy.sock"',
            intake='postfix = ["{folder}/maillog"]', wait=False, prepare=self.prepare)
        self.daemon.wait_log("answers are checked")
        self.start_postfix()

    def prepare(self, folder):
        """What has to be there before deferd starts: Postfix' folders, with the socket's."""
        os.chmod(folder, 0o755)
        for name in ("queue", "data", "etc"):
            os.mkdir(os.path.join(folder, name))
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
                     "maildrop", "private", "public", "saved", "trace", "pid", "deferd"):
            path = os.path.join(folder, "queue", name)
            os.mkdir(path)
            if name != "pid":
                shutil.chown(path, "postfix", "postdrop" if name in ("maildrop", "public") else None)
        shutil.chown(os.path.join(folder, "data"), "postfix")
        with open(os.path.join(folder, "maillog"), "w", encoding="utf-8"):
            pass

    def start_postfix(self):
        folder = self.daemon.folder
        self.port = free_port()
        with open(os.path.join(SOURCE, "deploy/postfix/ask.cf"), encoding="utf-8") as file:
            ask = file.read()
        self.daemon.write("etc/main.cf", MAIN.format(folder=folder, root=POSTFIX,
                                                     sink=self.sink.port, ask=ask))
        self.daemon.write("etc/master.cf", MASTER.format(port=self.port))
        environment = {**os.environ, "MAIL_CONFIG": self.daemon.path("etc"),
                       "LD_LIBRARY_PATH": os.path.join(POSTFIX, "usr/lib/postfix")}
        self.master = subprocess.Popen(
            [os.path.join(POSTFIX, "usr/lib/postfix/sbin/master"), "-c", self.daemon.path("etc"), "-d"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(self.stop_postfix)
        end = time.monotonic() + LIMIT
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT).close()
                return
            except OSError:
                self.assertIsNone(self.master.poll(), self.maillog())
                self.assertLess(time.monotonic(), end, self.maillog())

    def stop_postfix(self):
        self.master.terminate()
        self.master.wait(LIMIT)

    def maillog(self):
        with open(self.daemon.path("maillog"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def send(self, sender, recipients, login=None):
        """One message: the answer to its last RCPT that was refused, or to its end."""
        smtp = Smtp(self.port)
        try:
            smtp.say("EHLO client.example")
            smtp.say("XCLIENT ADDR=192.0.2.9 NAME=pc.example" + (f" LOGIN={login}" if login else ""))
            smtp.say("EHLO client.example")
            smtp.say(f"MAIL FROM:<{sender}>")
            for recipient in recipients:
                answer = smtp.say(f"RCPT TO:<{recipient}>")
                if not answer.startswith("250"):
                    return answer
            smtp.say("DATA")
            return smtp.say("Subject: test\r\n\r\nhello\r\n.")
        finally:
            smtp.close()

    def counts(self, domain, **expected):
        """Waits until the domain's window is as expected."""
        end = time.monotonic() + LIMIT
        while True:
            window = self.daemon.json("why", domain)["window"]
            if all(window[name] == value for name, value in expected.items()):
                return
            self.assertLess(time.monotonic(), end, f"{window}\n{self.maillog()}")

    def test_a_hacked_login_is_blocked_by_its_own_bounces(self):
        for i in range(5):
            self.assertIn("250", self.send("bob@bad.example", [f"nouser{i}@far.example"],
                                           "bob@bad.example"))
        self.daemon.wait_log("BLOCKED")
        self.counts("bad.example", failed=5, deferred=0, delivered=0)
        answer = self.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")
        self.assertIn("550 5.7.1", answer)
        self.assertIn("Domain bad.example has exceeded the max defers and failures per hour "
                      "(5/5 (100%)) allowed. Message rejected, try again after", answer)
        # Another login, and mail from outside that claims to be of the blocked domain, go their way.
        self.assertIn("250", self.send("eve@good.example", ["ann@far.example", "joe@far.example"],
                                       "eve@good.example"))
        self.assertIn("250", self.send("bob@bad.example", ["ann@far.example"]))
        self.counts("good.example", delivered=2, failed=0)
        self.counts("bad.example", failed=5)  # our own refusal did not count
        rejected, = self.daemon.json("track", "--outcome", "rejected")
        self.assertEqual(rejected["recipient"], "ann@far.example")
        self.assertEqual(self.daemon.ctl("unblock", "bad.example")[0], 0)
        self.assertIn("250", self.send("bob@bad.example", ["ann@far.example"], "bob@bad.example"))

    def test_one_message_to_many_is_one_question(self):
        before = self.daemon.json("status")["questions"]["answered"]
        self.assertIn("250", self.send("eve@good.example", [f"a{i}@far.example" for i in range(5)],
                                       "eve@good.example"))
        self.assertEqual(self.daemon.json("status")["questions"]["answered"], before + 1)
        self.counts("good.example", delivered=5)

    def test_mail_flows_while_deferd_is_away(self):
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "x")[0], 0)
        self.assertIn("550", self.send("bob@bad.example", ["ann@far.example"], "bob@bad.example"))
        self.daemon.stop()
        self.assertIn("250", self.send("bob@bad.example", ["ann@far.example"], "bob@bad.example"))


if __name__ == "__main__":
    if os.getuid() != 0:  # master(8) wants root
        os.execvp("sudo", ["sudo", "-n", "--preserve-env=DEFERD_BIN,DEFERD_SOURCE,DEFERD_POSTFIX",
                           "python3", *os.sys.argv])
    unittest.main()
