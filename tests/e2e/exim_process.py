"""An Exim of a test's own: configuration, spool and log in the daemon's folder, SMTP on standard input,
mail handed to a sink of the test. deploy/exim's snippets are pasted into it as their comments say.
"""

import base64
import os
import re
import shutil
import subprocess
import tempfile

from deferd_process import LIMIT, POLICY, SOURCE, DeferdTest
from redis_server import until
from smtp_sink import SmtpSink

EXIM = os.environ.get("DEFERD_EXIM", "/usr/sbin/exim4")  # tests/run.sh names it
HELD = re.compile(r" (\S{16}) <= (\S+) .* Q=deferd-held")
CLIENT = "192.0.2.9.4321"  # as -oMa takes it: address and port

CONFIG = """
primary_hostname = mx.test.example
spool_directory = {folder}/spool
log_file_path = {folder}/exim/%slog
pid_file_path = {folder}/exim/exim.pid
exim_path = {exim}
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
keep_environment =
acl_smtp_mail = acl_check_mail
acl_smtp_rcpt = accept
begin acl
acl_check_mail:
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
{routers}
sink:
  driver = manualroute
  route_list = * 127.0.1.1
  transport = sink
  self = send
begin transports
sink:
  driver = smtp
  port = {port}
  allow_localhost
  hosts_try_fastopen =
{transports}
begin retry
* * F,2h,{retry}
"""


def snippet(name):
    """The parts of deploy/exim/NAME.conf that are to be pasted."""
    with open(os.path.join(SOURCE, "deploy/exim", name + ".conf"), encoding="utf-8") as file:
        parts = re.findall(r"^# deferd begin\n.*?^# deferd end\n", file.read(), re.M | re.S)
    assert parts, name
    return parts


def insert(text, line, before="", behind=""):
    assert text.count(f"\n{line}\n") == 1, line
    return text.replace(f"\n{line}\n", f"\n{before}{line}\n{behind}")


def paste(config):
    """A whole configuration with all three snippets, where their comments say."""
    (ask,), (option, acl), (system_filter,) = snippet("ask"), snippet("local"), snippet("queued")
    config = insert(config, "acl_check_mail:", behind=ask)
    return insert(config, "begin acl", before=option + system_filter, behind=acl)


def with_paths(text, hook, filter_path):
    """The snippets' paths are those of an installed deferd and Exim."""
    return text.replace("/run/deferd/exim.sock", hook).replace("/etc/exim4/deferd.filter", filter_path)


class EximTest(DeferdTest):
    def begin(self, policy=POLICY, routers="", transports="", config="", retry="5m"):
        """A sink, a deferd, and an Exim that asks it and sends all to the sink."""
        self.sink = SmtpSink()
        self.addCleanup(self.sink.close)
        self.daemon = self.deferd(logs=("exim/mainlog",), policy=policy, config=config)
        for folder in ("spool", "exim"):
            os.mkdir(self.daemon.path(folder))
            shutil.chown(self.daemon.path(folder), "Debian-exim", "Debian-exim")
        self.log_path = self.daemon.write("exim/mainlog", "")
        shutil.chown(self.log_path, "Debian-exim", "Debian-exim")
        text = paste(CONFIG.format(folder=self.daemon.folder, exim=EXIM, port=self.sink.port, retry=retry,
                                   routers=routers, transports=transports))
        self.write_config(text)
        self.daemon.wait_log("answers are checked")

    def users_file(self, text):
        """The path of a file for [charge] users; `text` has a line "user: domain" each."""
        users = tempfile.NamedTemporaryFile("w", suffix=".users", encoding="utf-8")
        self.addCleanup(users.close)
        users.write(text)
        users.flush()
        os.chmod(users.name, 0o644)
        return users.name

    def write_config(self, text):
        filter_path = self.daemon.path("deferd.filter")
        self.config = self.daemon.write("exim.conf", with_paths(text, self.daemon.hook, filter_path))
        with open(os.path.join(SOURCE, "deploy/exim/queued.filter"), encoding="utf-8") as file:
            self.daemon.write("deferd.filter", with_paths(file.read(), self.daemon.hook, filter_path))

    def exim(self, *arguments, stdin=None, check=True):
        done = subprocess.run([EXIM, "-C", self.config, *arguments], input=stdin, text=True,
                              capture_output=True, timeout=LIMIT)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def session(self, messages, login=None, client=CLIENT):
        """One SMTP session with these (sender, recipients): what it answered. It only queues, since a
        session's own delivery process may not use a configuration of ours."""
        lines = ["EHLO client.example"]
        if login:
            secret = base64.b64encode(f"\0{login}\0secret".encode()).decode()
            lines.append(f"AUTH PLAIN {secret}")
        for sender, recipients in messages:
            lines += [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{one}>" for one in recipients), "DATA",
                      "Subject: test\r\n\r\nhello\r\n."]
        lines.append("QUIT")
        return self.exim("-odq", "-oMa", client, "-bs", stdin="\r\n".join(lines) + "\r\n").stdout

    def send(self, sender, recipient, login=None, client=CLIENT):
        """One session with one message, then a queue run."""
        answer = self.session([(sender, [recipient])], login, client)
        self.exim("-q")
        return answer

    def submit(self, user, sender, recipient, headers=""):
        """sendmail(1) by that user of the system: its exit status. It only queues."""
        # -oMt, -oMai: what a setuid Exim takes from its caller.
        return self.exim("-odq", "-oi", "-oMt", user, "-oMai", user, "-f", sender, recipient, check=False,
                         stdin=f"Subject: test\n{headers}\nhello\n").returncode

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def queue(self):
        """Senders of what is in the queue."""
        return re.findall(r"<([^<>]*)>", self.exim("-bp").stdout)

    def held(self):
        """(id, sender) of what the log says was put into deferd's queue."""
        return HELD.findall(self.log())

    def accepted(self):
        """Senders of what the sink accepted, bounces apart."""
        return [sender for sender, _ in self.sink.accepted if sender]

    def counts(self, subject):
        window = self.daemon.json("why", subject)["window"]
        return window["delivered"], window["deferred"], window["failed"]

    last = 0

    def window(self, subject):
        """What counts of `subject` after all that Exim has logged: a message of somebody else comes last."""
        self.last += 1
        self.send("z@last.example", "z@far.example", "z@last.example")
        until(lambda: self.counts("last.example")[0] == self.last, "the last message is counted")
        return self.counts(subject)

    def blocked_by_its_bounces(self):
        """bob's five messages to nobody, which block bad.example."""
        for i in range(5):
            self.assertIn("250 OK id=", self.session([("bob@bad.example", [f"nouser{i}@far.example"])],
                                                     "bob@bad.example"))
        self.exim("-q")
        self.daemon.wait_log("BLOCKED")
        self.assertEqual(self.window("bad.example"), (0, 0, 5))


def main(unittest):
    """Exim takes a configuration of ours from root alone."""
    if os.getuid() != 0:
        keep = "DEFERD_BIN,DEFERD_SOURCE,DEFERD_EXIM,DEFERD_EXIM_CONFIG,DEFERD_POSTFIX"
        os.execvp("sudo", ["sudo", "-n", f"--preserve-env={keep}", "python3", *os.sys.argv])
    unittest.main()
