"""A real Exim asks deferd before it accepts, and deferd reads that Exim's log.

The Exim is a private one: own configuration, spool and log, SMTP on standard input, mail handed to a
sink of the test.
"""

import base64
import os
import shutil
import subprocess
import unittest

from deferd_process import LIMIT, SOURCE, DeferdTest
from smtp_sink import SmtpSink

EXIM = os.environ.get("DEFERD_EXIM", "/usr/sbin/exim4")  # tests/run.sh names it

CONFIG = """
primary_hostname = mx.test.example
spool_directory = {folder}/spool
log_file_path = {folder}/exim/%slog
pid_file_path = {folder}/exim/exim.pid
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
keep_environment =
acl_smtp_mail = acl_mail
acl_smtp_rcpt = accept
begin acl
acl_mail:
{ask}
  accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = true
  server_advertise_condition = true
  server_set_id = $auth2
begin routers
sink:
  driver = manualroute
  route_list = * 127.0.0.1
  transport = sink
  self = send
begin transports
sink:
  driver = smtp
  port = {port}
  allow_localhost
  hosts_try_fastopen =
begin retry
* * F,2h,5m
"""


class EximAsks(DeferdTest):
    def setUp(self):
        self.sink = SmtpSink()
        self.addCleanup(self.sink.close)
        self.daemon = self.deferd(logs=("exim/mainlog",))
        for folder in ("spool", "exim"):
            os.mkdir(self.daemon.path(folder))
            shutil.chown(self.daemon.path(folder), "Debian-exim", "Debian-exim")
        with open(os.path.join(SOURCE, "deploy/exim/ask.conf"), encoding="utf-8") as file:
            ask = file.read().replace("/run/deferd/exim.sock", self.daemon.hook)
        self.config = self.daemon.write("exim.conf", CONFIG.format(
            folder=self.daemon.folder, port=self.sink.port, ask=ask))
        self.daemon.write("exim/mainlog", "")
        shutil.chown(self.daemon.path("exim/mainlog"), "Debian-exim", "Debian-exim")
        self.daemon.wait_log("answers are checked")

    def send(self, sender, recipient, login=None):
        """One SMTP session with one message, then a queue run: what the session answered."""
        lines = ["EHLO client.example"]
        if login:
            secret = base64.b64encode(f"\0{login}\0secret".encode()).decode()
            lines.append(f"AUTH PLAIN {secret}")
        lines += [f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA",
                  "Subject: test\r\n\r\nhello\r\n.", "QUIT"]
        # -oMa: as if from that client. Queued and then run, since a session's own delivery process
        # may not use a configuration of ours.
        done = self.exim("-odq", "-oMa", "192.0.2.9.4321", "-bs",
                         stdin="\r\n".join(lines) + "\r\n")
        self.exim("-q")
        return done.stdout

    def exim(self, *arguments, stdin=None):
        return subprocess.run([EXIM, "-C", self.config, *arguments], input=stdin, text=True,
                              capture_output=True, timeout=LIMIT, check=True)

    def test_a_hacked_login_is_blocked_by_its_own_bounces(self):
        for i in range(5):
            self.assertIn("250 OK id=", self.send("bob@bad.example", f"nouser{i}@far.example",
                                                  "bob@bad.example"))
        self.daemon.wait_log("BLOCKED")
        # Exim wraps the sentence; its words are all there.
        answer = self.send("bob@bad.example", "ann@far.example", "bob@bad.example")
        sentence = " ".join(line[4:] for line in answer.splitlines() if line.startswith("550"))
        self.assertIn("Domain bad.example has exceeded the max defers and failures per hour "
                      "(5/5 (100%)) allowed. Message rejected, try again after", sentence)
        self.assertNotIn("250 OK id=", answer)
        # Another domain, and mail from outside that claims to be the blocked one, are untouched.
        self.assertIn("250 OK id=", self.send("eve@good.example", "ann@far.example",
                                              "eve@good.example"))
        self.assertIn("250 OK id=", self.send("bob@bad.example", "ann@far.example"))
        self.assertEqual([sender for sender, _ in self.sink.accepted if sender],
                         ["eve@good.example", "bob@bad.example"])
        self.assertEqual(self.daemon.json("why", "bad.example")["window"]["failed"], 5,
                         "our own refusal did not count")
        self.assertEqual(self.daemon.ctl("unblock", "bad.example")[0], 0)
        self.assertIn("250 OK id=", self.send("bob@bad.example", "ann@far.example",
                                              "bob@bad.example"))

    def test_mail_flows_while_deferd_is_away(self):
        self.daemon.stop()
        self.assertIn("250 OK id=", self.send("bob@bad.example", "ann@far.example",
                                              "bob@bad.example"))

    def test_readsocket_reads_the_answer(self):
        def expand():
            question = "${readsocket{%s}{check bad.example\\n}{2s}{}{FAIL}}"
            return self.exim("-be", question % self.daemon.hook).stdout.strip()

        self.assertEqual(expand(), "pass")
        self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")
        self.assertTrue(expand().startswith("reject Mail of bad.example was stopped"))


if __name__ == "__main__":
    if os.getuid() != 0:  # Exim takes a configuration of ours from root alone
        os.execvp("sudo", ["sudo", "-n", "--preserve-env=DEFERD_BIN,DEFERD_SOURCE,DEFERD_EXIM",
                           "python3", *os.sys.argv])
    unittest.main()
