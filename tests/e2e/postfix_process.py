"""A Postfix of a test's own: configuration, queue, data and log below one folder, one SMTP port that the
system chose. Clients are named with XCLIENT, so that a login needs no SASL server.
"""

import os
import shutil
import smtplib
import socket
import subprocess
import tempfile

from deferd_process import LIMIT, POLICY, SOURCE, DeferdTest, run
from redis_server import free_port, until
from smtp_sink import SmtpSink

ROOT = os.environ.get("DEFERD_POSTFIX", "/")  # holds usr/lib/postfix; tests/run.sh names it

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
meta_directory = {folder}/postfix
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
import_environment = LD_LIBRARY_PATH={root}/usr/lib/postfix MAIL_CONFIG={folder}/postfix
export_environment = LD_LIBRARY_PATH MAIL_CONFIG TZ
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.test.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8 192.0.2.0/24
relayhost = [127.0.1.1]:{port}
smtp_dns_support_level = disabled
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
alias_maps =
alias_database =
local_transport = error:no local mail
"""

MASTER = """
127.0.0.1:{smtpd} inet n - {chroot} - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

# Of a queue directory: name, mode, group; postfix-files(5) has the same.
QUEUE = [(name, 0o700, "root") for name in
         ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
          "saved", "trace")]
QUEUE += [("maildrop", 0o730, "postdrop"), ("public", 0o710, "postdrop")]


class Postfix:
    """One mail system below `folder`, handing all mail to `sink_port`. `main` is added to main.cf,
    `master` to master.cf, `ask` as it is to main.cf; `chroot` is smtpd's: Debian's is "y"."""

    def __init__(self, folder, sink_port, main="", master="", ask="", chroot="n"):
        self.folder = folder
        self.port = free_port()
        self.log_path = os.path.join(folder, "log/mail.log")
        for name in ("postfix", "queue/pid"):
            os.makedirs(os.path.join(folder, name))
        for name, mode, group in [("../data", 0o700, "postfix"), *QUEUE]:
            path = os.path.join(folder, "queue", name)
            os.mkdir(path)
            shutil.chown(path, "postfix", group)
            os.chmod(path, mode)
        values = {"folder": folder, "root": ROOT.rstrip("/"), "port": sink_port, "smtpd": self.port,
                  "chroot": chroot}
        for name, text in (("main.cf", MAIN + main), ("master.cf", MASTER + master)):
            with open(os.path.join(folder, "postfix", name), "w", encoding="utf-8") as file:
                file.write(text.format(**values) + (ask if name == "main.cf" else ""))
        self.start()

    def start(self):
        daemons = os.path.join(ROOT, "usr/lib/postfix")
        # A session of its own: master ends its process group.
        self.master = subprocess.Popen(
            [os.path.join(daemons, "sbin/master"), "-d", "-c", os.path.join(self.folder, "postfix")],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": daemons},
            stdin=subprocess.DEVNULL, start_new_session=True)
        until(self.listens, "Postfix listens")

    def listens(self):
        assert self.master.poll() is None, "Postfix did not start:\n" + self.log()
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT).close()
        except ConnectionRefusedError:
            return False
        return True

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def send(self, sender, recipients, login=None, client="192.0.2.9", headers=""):
        """One session with one message: the answer that decided, such as (250, "2.0.0 Ok: ...")."""
        with smtplib.SMTP("127.0.0.1", self.port, "pc.example", timeout=LIMIT) as smtp:
            smtp.ehlo()
            code, text = smtp.docmd("XCLIENT", f"ADDR={client} NAME=pc.example LOGIN="
                                    + (login or "[UNAVAILABLE]"))
            assert code == 220, text
            smtp.ehlo()
            answer = smtp.mail(sender)
            for recipient in recipients:
                if answer[0] == 250:
                    answer = smtp.rcpt(recipient)
            if answer[0] == 250:
                try:
                    answer = smtp.data(headers + "Subject: test\r\n\r\nhello\r\n")
                except smtplib.SMTPDataError as refused:
                    answer = (refused.smtp_code, refused.smtp_error)
        return answer[0], answer[1].decode()

    def flush(self):
        """Everything in the queue is tried again."""
        done = run(os.path.join(ROOT, "usr/sbin/postqueue"), "-c", os.path.join(self.folder, "postfix"),
                   "-f", env={"LD_LIBRARY_PATH": os.path.join(ROOT, "usr/lib/postfix")})
        assert done[0] == 0, done

    def stop(self):
        """When it returns, the last smtpd has let go of the port."""
        self.master.terminate()
        self.master.wait(LIMIT)
        until(self.is_away, "Postfix's processes have ended")

    def is_away(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
        return False


class PostfixTest(DeferdTest):
    def begin(self, main="", master="", policy=POLICY, config="", chroot="n"):
        """A sink, a Postfix that sends all to it and asks, and a deferd that follows its log."""
        self.sink = SmtpSink()
        self.addCleanup(self.sink.close)
        folder = tempfile.mkdtemp(prefix="deferd-postfix-")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        os.mkdir(os.path.join(folder, "log"))
        log = os.path.join(folder, "log/mail.log")
        with open(log, "w", encoding="utf-8"):
            pass
        # As deploy/postfix/ask.cf says.
        os.makedirs(os.path.join(folder, "queue/deferd"))
        question_door = os.path.join(folder, "queue/deferd/policy.sock")
        self.daemon = self.deferd(logs=(), policy=policy, config=config, intake=f'postfix = ["{log}"]',
                                  hook=f'postfix = "unix:{question_door}"')
        self.daemon.wait_log("answers are checked")
        with open(os.path.join(SOURCE, "deploy/postfix/ask.cf"), encoding="utf-8") as file:
            ask = file.read()
        self.postfix = Postfix(folder, self.sink.port, main, master, ask, chroot)
        self.addCleanup(self.postfix.stop)

    def window(self, domain):
        """What counts now of `domain`, after all that Postfix has logged: (delivered, deferred, failed)."""
        # A message of somebody else comes last, so what was logged before is counted with it.
        until(lambda: self.postfix.log().count(": removed") >= self.removed, "Postfix is done")
        self.last += 1
        self.assertEqual(self.postfix.send("z@last.example", ["z@far.example"], "z@last.example")[0], 250)
        self.removed += 1
        until(lambda: self.counts("last.example")[0] == self.last, "the last message is counted")
        return self.counts(domain)

    last = 0
    removed = 0  # messages that Postfix must have done with

    def counts(self, domain):
        window = self.daemon.json("why", domain)["window"]
        return window["delivered"], window["deferred"], window["failed"]

    def send(self, sender, recipients, login=None, removed=1):
        answer = self.postfix.send(sender, recipients, login)
        if answer[0] == 250:
            self.removed += removed
        return answer
