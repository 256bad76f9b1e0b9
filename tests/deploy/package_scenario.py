#!/usr/bin/env python3
"""Runs inside a bare Debian with the built packages in /debs, in a network of its own, as root: one
operator's first day with deferd, with the real Exim and then the real Postfix.

    package_scenario.py exim split|single|plain
    package_scenario.py postfix
    package_scenario.py container

package in, setup, first shadow case, enforce, upgrade under traffic, downgrade refused, purge under
traffic. Each step says how long it took.
"""

import faulthandler
import fcntl
import filecmp
import glob
import os
import re
import shutil
import signal
import smtplib
import sqlite3
import subprocess
import sys
import threading
import time

from smtp_sink import SmtpSink

LIMIT = 120
OLD = "/debs/old"
NEW = "/debs/new"
STATE = "/var/lib/deferd/state.db"
OWN_RESTRICTIONS = "smtpd_data_restrictions = reject_unauth_pipelining,\n    # somebody's own\n    permit\n"
begun = time.monotonic()
times = []  # of each step: (its text, seconds)


def step(text):
    global begun
    now = time.monotonic()
    faulthandler.dump_traceback_later(LIMIT // 2, repeat=True)  # where a step hangs
    if times:
        times[-1][1] = now - begun
        print(f"   {now - begun:6.1f} s", flush=True)
    times.append([text, 0])
    print(text, flush=True)
    begun = now


def tell_times():
    print(f"\n{'step':<76} seconds")
    for text, seconds in times[:-1]:
        print(f"{text:<76} {seconds:7.1f}")
    print(f"{'all':<76} {sum(seconds for _, seconds in times):7.1f}\n", flush=True)


def fail(text):
    print(f"FAILED: {text}", flush=True)
    os._exit(1)  # whatever threads go on


def run(*argv, ok=True, env=None):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT,
                          env={**os.environ, **(env or {})})
    if ok and done.returncode != 0:
        fail(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def until(what, text):
    end = time.monotonic() + LIMIT
    while not what():
        if time.monotonic() > end:
            fail(f"not within {LIMIT} s: {text}")
        time.sleep(0.05)  # a process is waited for that tells nobody


def check(fact, text):
    if not fact:
        fail(text)


def read(path):
    with open(path, encoding="utf-8", newline="") as file:  # line ends as they are
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def apt(*argv, ok=True, env=None):
    # Without a terminal of its own, what the packages' scripts say on standard error stays there.
    return run("apt-get", "-y", "-q", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends", "--no-download", "--allow-downgrades", *argv, ok=ok,
               env={"DEBIAN_FRONTEND": "noninteractive", **(env or {})})


def install(folder, *names, ok=True):
    """The built packages; what they depend on is there."""
    return run("dpkg", "-i", *[path for name in names for path in glob.glob(f"{folder}/{name}_*.deb")], ok=ok)


class Daemon:
    """A program that systemd would start, as its unit says; there is no systemd here."""

    def __init__(self, *argv, user=None):
        self.argv = argv
        self.user = user
        self.start()

    def start(self):
        command = list(self.argv)
        if self.user:
            command = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups", *command]
        self.log = open("/var/log/deferd-test.log", "ab")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def stop(self):
        self.process.terminate()
        self.process.wait(LIMIT)


def deferctl(*argv, ok=True):
    return run("deferctl", *argv, ok=ok)


class Sender(threading.Thread):
    """Somebody who is not blocked, and who sends all the time."""

    def __init__(self, mta):
        super().__init__()
        self.mta, self.answers, self.stopped = mta, [], threading.Event()
        self.start()

    def run(self):
        while not self.stopped.is_set():
            self.answers.append(self.mta.send("ann@good.example", f"ok{len(self.answers)}@far.example")[0])

    def end(self):
        self.stopped.set()
        self.join()
        check(self.answers, "mail was sent meanwhile")
        check(set(self.answers) == {250}, f"mail flowed: {self.answers}")
        want = len(self.answers)
        until(lambda: sum(s == "ann@good.example" for s, _ in self.mta.sink.accepted) >= want, "all is delivered")
        self.mta.sink.accepted.clear()
        return want


class Mta:
    port = 25

    def __init__(self):
        self.sink = SmtpSink("127.0.1.1")

    def session(self):
        """A connection; Exim listens to nobody for a moment while it reads its configuration again."""
        end = time.monotonic() + LIMIT
        while True:
            try:
                return smtplib.SMTP("127.0.0.1", self.port, "pc.example", timeout=LIMIT)
            except ConnectionRefusedError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def send(self, sender, recipient):
        """One message from this host: (code, text) of the answer that decided."""
        with self.session() as smtp:
            smtp.ehlo()
            answer = smtp.mail(sender)
            if answer[0] == 250:
                answer = smtp.rcpt(recipient)
            if answer[0] == 250:
                try:
                    answer = smtp.data("Subject: test\r\n\r\nhello\r\n")
                except smtplib.SMTPDataError as refused:
                    answer = (refused.smtp_code, refused.smtp_error)
        return answer[0], answer[1].decode()

    def got(self, sender, recipient):
        return (sender, recipient) in self.sink.accepted

    def listens(self):
        try:
            smtplib.SMTP("127.0.0.1", self.port, timeout=LIMIT).close()
        except (ConnectionRefusedError, smtplib.SMTPException):
            return False
        return True


class Exim(Mta):
    name = "exim"
    config = "/etc/exim4"

    def __init__(self, layout):
        super().__init__()
        self.layout = layout
        write("/etc/exim4/update-exim4.conf.conf",
              "dc_eximconfig_configtype='smarthost'\ndc_other_hostnames='mx.test.example'\n"
              "dc_local_interfaces='127.0.0.1'\ndc_readhost=''\ndc_relay_domains=''\n"
              "dc_minimaldns='false'\ndc_relay_nets=''\n"
              f"dc_smarthost='127.0.1.1::{self.sink.port}'\nCFILEMODE='644'\n"
              f"dc_use_split_config='{'true' if layout == 'split' else 'false'}'\n"
              "dc_hide_mailname='false'\ndc_mailname_in_oh='true'\ndc_localdelivery='mail_spool'\n")
        write("/etc/mailname", "mx.test.example\n")
        # To Exim, a host of 127/8 is this one.
        for path in ("conf.d/router/200_exim4-config_primary", "exim4.conf.template"):
            text = read(f"/etc/exim4/{path}")
            write(f"/etc/exim4/{path}", text.replace("\nsmarthost:\n", "\nsmarthost:\n  self = send\n"))
        for path in ("conf.d/transport/30_exim4-config_remote_smtp_smarthost", "exim4.conf.template"):
            text = read(f"/etc/exim4/{path}")
            write(f"/etc/exim4/{path}", re.sub(r"(remote_smtp_smarthost:\n(?:.*\n)*?  driver = smtp\n)",
                                              r"\1  allow_localhost\n  hosts_require_tls =\n", text, count=1))
        run("update-exim4.conf")
        if layout == "plain":
            # Somebody's own file, that includes another and has an ACL for local mail.
            text = read("/var/lib/exim4/config.autogenerated").replace(
                "\nbegin acl\n", "\nacl_not_smtp = acl_check_local\n\nbegin acl\n\nacl_check_local:\n  accept\n\n", 1)
            # The ACLs are in a file that another one includes, by a macro and a relative name; one of
            # two is left out by .ifdef; the last line has no end; and the configuration is a link to
            # a file of another group.
            main, acl = text.split("\nbegin acl\n", 1)
            acl, rest = re.split(r"\n(?=begin )", acl, maxsplit=1)
            acl = acl.replace("\nacl_check_mail:\n", "\n.ifdef NEVER\nacl_check_mail:\n  deny\n.else\n"
                              "acl_check_mail:\n.endif\n", 1)
            write("/etc/exim4/parts.conf", ".include ODD_FOLDER/acls.conf\n")
            write("/etc/exim4/acls.conf", "begin acl\n" + acl.rstrip("\n"))
            os.makedirs("/srv/exim", exist_ok=True)
            write("/srv/exim/exim4.conf", ".include_if_exists /etc/exim4/extra.conf\nODD_FOLDER = /etc/exim4\n" +
                  main + "\n.include /etc/exim4/parts.conf\n" + rest)
            shutil.chown("/srv/exim/exim4.conf", "root", "adm")
            os.chmod("/srv/exim/exim4.conf", 0o640)
            os.symlink("/srv/exim/exim4.conf", "/etc/exim4/exim4.conf")
            write("/etc/exim4/extra.conf", "# nothing\n")
        os.makedirs("/run/exim4", exist_ok=True)
        shutil.chown("/run/exim4", "Debian-exim", "Debian-exim")
        subprocess.run(["exim4", "-bd", "-q1m"], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT)
        until(self.listens, "Exim listens")

    def wired(self):
        return "exim.sock" in run("exim4", "-bP", "config").stdout

    def break_it(self):
        """An edit that makes Exim's configuration invalid once it is generated: what setup meets."""
        path = {"split": "conf.d/main/99_broken", "single": "exim4.conf.template", "plain": "extra.conf"}[self.layout]
        path = "/etc/exim4/" + path
        before = read(path) if os.path.exists(path) else None
        write(path, "no_such_option = 1\n" + (before or ""))
        return lambda: os.unlink(path) if before is None else write(path, before)

    def sour(self):
        """Exim refuses mail once setup has written its files, which no checker can see."""
        path = {"split": "conf.d/acl/30_exim4-config_check_mail", "single": "exim4.conf.template",
                "plain": "acls.conf"}[self.layout]
        path = "/etc/exim4/" + path
        before = read(path)
        label = "\nacl_check_mail:\n" + (".endif\n" if self.layout == "plain" else "")
        at = before.rindex(label) + len(label)
        write(path, before[:at] + "  deny condition = ${if exists{/etc/exim4/deferd.filter}}\n" + before[at:])
        return lambda: write(path, before)

    def end_on_reload(self):
        """Exim's daemon ends when it reads what setup has changed, which no checker can see."""
        path = {"split": "conf.d/main/99_ends", "single": "exim4.conf.template", "plain": "extra.conf"}[self.layout]
        path = "/etc/exim4/" + path
        before = read(path) if os.path.exists(path) else None
        write(path, "queue_run_max = ${if !exists{/etc/exim4/deferd.filter}{5}fail}\n" + (before or ""))
        self.reload()

        def mend():
            if before is None:
                os.unlink(path)
            else:
                write(path, before)
            self.reload()
        return mend

    def reload(self):
        run("update-exim4.conf")
        os.kill(self.process(), signal.SIGHUP)
        until(self.listens, "Exim listens")

    def process(self):
        return int(read("/run/exim4/exim.pid"))

    # What setup runs after it has written.
    programs = ("/usr/sbin/update-exim4.conf", "/usr/sbin/exim4")
    stride = 1

    def stop(self):
        os.kill(int(read("/run/exim4/exim.pid")), signal.SIGTERM)
        self.sink.close()


class Postfix(Mta):
    name = "postfix"
    config = "/etc/postfix"

    def __init__(self):
        super().__init__()
        log = "/var/log/mail.log"
        write(log, "")
        os.chmod(log, 0o640)
        shutil.chown(log, "root", "adm")
        shutil.copy("/usr/share/postfix/main.cf.debian", "/etc/postfix/main.cf")
        with open("/etc/postfix/main.cf", "a", encoding="utf-8") as file:
            file.write("myhostname = mx.test.example\nmydestination = mx.test.example\n"
                       "inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\n"
                       f"relayhost = [127.0.1.1]:{self.sink.port}\nmaillog_file = {log}\n"
                       "compatibility_level = 3.6\n" + OWN_RESTRICTIONS)
        shutil.copy("/usr/share/postfix/master.cf.dist", "/etc/postfix/master.cf")
        text = read("/etc/postfix/master.cf")
        write("/etc/postfix/master.cf", re.sub(r"^(smtp +inet +n +- +)[ny-]", r"\1y", text, flags=re.M))
        os.makedirs("/var/spool/postfix/etc", exist_ok=True)
        for name in ("resolv.conf", "hosts", "services", "nsswitch.conf"):
            if os.path.exists("/etc/" + name):
                shutil.copy("/etc/" + name, "/var/spool/postfix/etc")
        run("newaliases")
        run("postmulti", "-e", "init")
        run("postmulti", "-I", "postfix-2", "-e", "create")
        run("postmulti", "-i", "postfix-2", "-e", "enable")  # before the file ends without a line end
        with open("/etc/postfix-2/main.cf", "a", encoding="utf-8") as file:
            # Of two lines, Postfix takes the last; and this file ends without a line end. No maillog_file:
            # every process warns of the two lines, and postlogd waits for ever once its own queue is full.
            file.write("myhostname = mx2.test.example\nmaster_service_disable =\ninet_interfaces = 127.0.0.1\n"
                       "inet_protocols = ipv4\nmynetworks = 127.0.0.0/8\ncompatibility_level = 3.6\n"
                       f"relayhost = [127.0.1.1]:{self.sink.port}")
        text = read("/etc/postfix-2/master.cf")
        write("/etc/postfix-2/master.cf", re.sub(r"^smtp +inet +n +- +[ny-]", "127.0.0.1:2525 inet n - n",
                                                 text, flags=re.M))
        run("postfix", "start")  # both
        run("postmulti", "-p", "status")
        until(self.listens, "Postfix listens")

    def wired(self):
        return all("deferd/policy.sock" in run("postconf", "-c", folder, "smtpd_data_restrictions").stdout
                   for folder in ("/etc/postfix", "/etc/postfix-2"))

    def break_it(self):
        text = read("/etc/postfix/master.cf")
        write("/etc/postfix/master.cf", text + "\nbroken inet n - y\n")
        return lambda: write("/etc/postfix/master.cf", text)

    def sour(self):
        """Postfix refuses mail once setup has changed what is asked, which no checker can see."""
        text = read("/etc/postfix/main.cf")
        check(OWN_RESTRICTIONS in text, "the restrictions are the test's")
        write("/etc/postfix/main.cf", text.replace(
            OWN_RESTRICTIONS, "smtpd_data_restrictions = permit\n"
            "smtpd_sender_restrictions = ${{$smtpd_data_restrictions} == {permit} ? {permit} : {reject}}\n"))
        run("postfix", "reload")
        return lambda: (write("/etc/postfix/main.cf", text), run("postfix", "reload"))

    def end_on_reload(self):
        """Postfix's master ends when it reads what setup has changed, which no checker can see."""
        text = read("/etc/postfix/main.cf")
        write("/etc/postfix/main.cf", text.replace(OWN_RESTRICTIONS, "smtpd_data_restrictions = permit\n") +
              "service_throttle_time = ${{$smtpd_data_restrictions} == {permit} ? {60s} : {none}}\n")
        run("postfix", "reload")
        return lambda: (write("/etc/postfix/main.cf", text), run("postfix", "reload"))

    def process(self):
        return int(read("/var/spool/postfix/pid/master.pid"))

    programs = ("/usr/sbin/postfix",)
    stride = 2  # two instances, of which one is enough

    def stop(self):
        run("postfix", "stop")  # both
        self.sink.close()


def same(before, after):
    found = filecmp.dircmp(before, after)
    differences = found.left_only + found.right_only + found.diff_files
    return differences + [one for name in found.common_dirs
                          for one in same(os.path.join(before, name), os.path.join(after, name))]


class Copy:
    """The configuration as it is now, of the mail server and of deferd."""

    def __init__(self, mta, name):
        self.folders = [one for one in (mta.config, "/etc/deferd", "/srv/exim", "/etc/postfix-2")
                        if os.path.exists(one)]
        self.name = name
        shutil.rmtree(name, ignore_errors=True)
        for folder in self.folders:
            shutil.copytree(folder, name + folder, symlinks=True)

    def check(self, text):
        for folder in self.folders:
            found = same(self.name + folder, folder)
            check(not found, f"{text}: {folder}: {found}")


def killed_setups(mta):
    """A setup that is killed wherever it runs a program after its first change is taken back."""
    step("setup is killed (9) at each step: the next run takes its changes back")
    before = Copy(mta, "/tmp/killed")
    for path in mta.programs:
        os.rename(path, path + ".real")
        write(path, f"""#!/bin/sh
if [ -e /var/lib/deferd-setup/journal ] && [ "$(cat /proc/$PPID/comm)" = deferctl ]; then
  echo >>/tmp/calls
  if [ "$(wc -l </tmp/calls)" -eq "$(cat /tmp/kill-at)" ]; then kill -9 $PPID; exit 1; fi
fi
exec {path}.real "$@"
""")
        os.chmod(path, 0o755)
    kills = 0
    while True:
        write("/tmp/calls", "")
        write("/tmp/kill-at", str(1 + kills * mta.stride))
        done = deferctl("setup", mta.name, ok=False)
        if done.returncode == 0:
            break
        kills += 1
        check(done.returncode == -9, f"killed: {done}")
        check(os.path.exists("/var/lib/deferd-setup/journal"), "the journal tells of it")
        write("/tmp/kill-at", "0")
        noticed = deferctl("setup", mta.name, "--dry-run").stdout
        check("interrupted" in noticed, f"noticed: {noticed}")
        mended = deferctl("setup", mta.name, "--undo").stdout
        check("taken back" in mended and "restored " in mended, f"mended: {mended}")
        before.check(f"after the kill at program {kills}")
        check(mta.send("ann@good.example", "ok@far.example")[0] == 250, "mail flows")
    print(f"   killed at {kills} programs")
    check(kills >= 3, f"the mail server's programs were run: {kills}")
    for path in mta.programs:
        os.rename(path + ".real", path)
    deferctl("setup", mta.name, "--undo")
    before.check("undone")
    mta.sink.accepted.clear()


def odd_setups(mta):
    """Setup on a machine on which something is wrong: it says what, and nothing is changed."""
    step("setup, and the mail server is not well with it: taken back, mail flows")
    mend = mta.sour()
    if mta.name == "exim":
        run("update-exim4.conf")
    before = Copy(mta, "/tmp/sour")
    check(mta.send("ann@good.example", "ok@far.example")[0] == 250, "mail flows")
    refused = deferctl("setup", mta.name, ok=False)
    check(refused.returncode == 1 and "all files are as they were" in refused.stderr,
          f"taken back: {refused.stdout} {refused.stderr}")
    before.check("not well")
    until(lambda: mta.send("ann@good.example", "ok@far.example")[0] == 250, "mail flows")
    mend()
    if mta.name == "exim":
        run("update-exim4.conf")
        os.kill(int(read("/run/exim4/exim.pid")), signal.SIGHUP)

    step("setup, and the mail server ends with it: taken back, started again, mail flows")
    mend = mta.end_on_reload()
    before = Copy(mta, "/tmp/ended")
    process = mta.process()
    check(mta.send("ann@good.example", "ok@far.example")[0] == 250, "mail flows")
    refused = deferctl("setup", mta.name, ok=False)
    check(refused.returncode == 1 and "all files are as they were" in refused.stderr,
          f"taken back: {refused.stdout} {refused.stderr}")
    before.check("ended")
    check(mta.process() != process, "the mail server had ended")
    check(mta.send("ann@good.example", "ok@far.example")[0] == 250, "mail flows")
    mend()

    step("setup on a read-only file system, and beside another setup: refused")
    before = Copy(mta, "/tmp/odd")
    run("mount", "--bind", mta.config, mta.config)
    run("mount", "-o", "remount,ro,bind", mta.config)
    refused = deferctl("setup", mta.name, ok=False)
    run("umount", mta.config)
    check(refused.returncode == 1 and "Read-only file system" in refused.stderr,
          f"refused: {refused.stdout} {refused.stderr}")
    before.check("read-only")
    lock = os.open("/var/lib/deferd-setup", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    refused = deferctl("setup", mta.name, ok=False)
    os.close(lock)
    check(refused.returncode == 1 and "another deferctl setup" in refused.stderr, f"refused: {refused.stderr}")
    before.check("locked")


def counts(subject):
    text = deferctl("why", subject, "--json").stdout
    return int(re.search(r'"failed": (\d+)', text)[1])


def restart(deferd):
    deferd.stop()
    deferd.start()
    until(lambda: deferctl("status", ok=False).returncode == 0, "deferd answers")


class OtherNode:
    """A second node, of the version that was installed first, that shares through Redis."""

    def __init__(self, redis):
        shutil.copy("/usr/sbin/deferd", "/tmp/deferd-of-before")
        shutil.copy("/usr/bin/deferctl", "/tmp/deferctl-of-before")
        shutil.rmtree("/tmp/other", ignore_errors=True)
        os.makedirs("/tmp/other")
        write("/tmp/other/deferd.toml", f"""state_dir = "/tmp/other/state"
policy = "/etc/deferd/policy.toml"
[hook]
exim = "unix:/tmp/other/exim.sock"
[admin]
socket = "/tmp/other/admin.sock"
[shared]
redis = "{redis}"
""")
        self.daemon = Daemon("/tmp/deferd-of-before", "--config", "/tmp/other/deferd.toml")
        until(lambda: self.ctl("status", ok=False).returncode == 0, "the other node answers")

    def ctl(self, *argv, ok=True):
        return run("/tmp/deferctl-of-before", "--socket", "/tmp/other/admin.sock", *argv, ok=ok)

    def blocks(self):
        return self.ctl("blocks").stdout

    def end(self):
        self.daemon.stop()


def share(deferd):
    """Puts the machine's deferd and another node behind one Redis; gives the other node."""
    address = "redis+unix:///tmp/redis.sock"
    if not os.path.exists("/tmp/redis.sock"):
        Daemon("/usr/bin/redis-server", "--port", "0", "--unixsocket", "/tmp/redis.sock", "--unixsocketperm",
               "777", "--save", "", "--appendonly", "no")
        until(lambda: os.path.exists("/tmp/redis.sock"), "Redis listens")
    run("redis-cli", "-s", "/tmp/redis.sock", "flushall")  # of the layout before
    with open("/etc/deferd/deferd.toml", "a", encoding="utf-8") as file:
        file.write(f'\n[shared]\nredis = "{address}"\n')
    restart(deferd)
    other = OtherNode(address)
    until(lambda: "shop.example" in other.blocks(), "the other node knows the block")
    return other


def queue_helper(mta, deferd):
    """deferd-queue comes, releases held mail, and goes."""
    step("deferd-queue: package in; it sees what is held")
    install(NEW, "deferd-queue")
    for folder in ("/run/deferd-queue", "/var/lib/deferd-queue"):
        os.makedirs(folder, exist_ok=True)  # its unit would
    queue = Daemon("/usr/sbin/deferd-queue")
    until(lambda: os.path.exists("/run/deferd-queue/queue.sock"), "deferd-queue listens")
    deferctl("setup", mta.name)
    check("/run/deferd-queue/queue.sock" in read("/etc/deferd/deferd.toml"), "setup has found it")
    restart(deferd)
    if mta.name == "exim":
        check("deferd-held" in run("exim4", "-bP", "config").stdout, "a second setup holds instead of deferring")
        code, text = mta.send("web@shop.example", "ok@far.example")
        check(code == 250, f"held: {code} {text}")
    until(lambda: "shop.example" in deferctl("queue", "--held").stdout, "the held message is seen")

    step("deferd-queue: its purge is refused while mail is held")
    refused = apt("purge", "deferd-queue", ok=False)
    check(refused.returncode != 0 and "deferd-queue: not removed" in refused.stderr, f"refused: {refused.stderr}")
    check("deferctl queue release" in refused.stderr, f"says what to do: {refused.stderr}")
    deferctl("queue", "release", "shop.example")
    until(lambda: mta.got("web@shop.example", "ok@far.example"), "released mail is delivered")

    step("deferd-queue: purge under traffic")
    sender = Sender(mta)
    gone = apt("purge", "deferd-queue")
    print(gone.stdout[gone.stdout.find("Removing deferd-queue"):])
    queue.process.wait(LIMIT)  # the removal has ended it
    print(f"   {sender.end()} messages meanwhile")
    check(not re.search(r"^helper", read("/etc/deferd/deferd.toml"), re.M), "deferd does not look for it")
    check(not os.path.exists("/var/lib/deferd-queue"), "its table is gone")
    restart(deferd)
    code, text = mta.send("web@shop.example", "ok@far.example")  # Postfix holds it, for what comes
    if mta.name == "exim":
        check(code == 451 and "shop.example" in text, f"Exim defers again, since nobody would release: {code} {text}")


def main(mta):
    before = Copy(mta, "/tmp/config-before")
    step(f"{mta.name}: package in")
    install(OLD, "deferd")
    check(run("getent", "passwd", "deferd").stdout, "the user was made")
    check("adm" in run("id", "deferd").stdout, "deferd may read logs")
    if mta.name == "postfix":
        os.makedirs("/var/spool/postfix/deferd", exist_ok=True)  # deferd-postfix.socket would
        shutil.chown("/var/spool/postfix/deferd", "deferd", "postfix")
        os.chmod("/var/spool/postfix/deferd", 0o750)
    group = "Debian-exim" if mta.name == "exim" else "postfix"
    run("usermod", "-aG", group, "deferd")  # without systemd, deferd itself opens the door
    run("deferd", "--check")
    deferd = Daemon("/usr/sbin/deferd", "--config", "/etc/deferd/deferd.toml", user="deferd")
    until(lambda: deferctl("status", ok=False).returncode == 0, "deferd answers")

    step("setup --dry-run changes nothing")
    dry = deferctl("setup", mta.name, "--dry-run").stdout
    check("check_policy_service" in dry or "readsocket" in dry, f"the diff shows the question: {dry}")
    before.check("nothing was changed")

    step("setup into a configuration that is broken: refused, and nothing is changed")
    mend = mta.break_it()
    broken = Copy(mta, "/tmp/broken")
    refused = deferctl("setup", mta.name, ok=False)
    check(refused.returncode == 1, f"refused: {refused.stdout}")
    broken.check("as it was")
    mend()

    odd_setups(mta)
    killed_setups(mta)

    step("setup")
    said = deferctl("setup", mta.name).stdout
    print(said)
    check("shadow mode" in said and "enforce" in said, "it ends with shadow mode and the command")
    check(mta.wired(), "the mail server asks")
    again = deferctl("setup", mta.name).stdout
    check("nothing to change" in again, f"a second run changes nothing: {again}")
    text = read("/etc/deferd/deferd.toml")
    check("mx.test.example" in text, f"local domains were found: {text}")
    # A web form of this host is charged by its envelope sender.
    write("/etc/deferd/deferd.toml", text.replace("[charge]\n", '[charge]\nrelay_hosts = ["127.0.0.1"]\n', 1))
    deferd.stop()
    deferd.start()
    until(lambda: deferctl("status", ok=False).returncode == 0, "deferd answers")

    step("first shadow case")
    for i in range(12):
        check(mta.send("web@shop.example", f"nouser{i}@far.example")[0] == 250, "accepted")
    until(lambda: "shop.example" in deferctl("blocks", "--all").stdout, "a shadow case")
    check("would have blocked 1" in deferctl("setup", mta.name).stdout.replace("\n", " "), "setup tells of it")
    check(mta.send("web@shop.example", "ok@far.example")[0] == 250, "shadow refuses nobody")

    step("enforce")
    policy = read("/etc/deferd/policy.toml")
    write("/etc/deferd/policy.toml", re.sub(r"^mode = .*", 'mode = "enforce"', policy, flags=re.M))
    deferctl("reload")
    deferctl("block", "shop.example", "--for", "2h", "--reason", "test")
    code, text = mta.send("web@shop.example", "ok@far.example")
    print(f"   {code} {text}")
    if mta.name == "exim":
        # There is no deferd-queue that would release what is held.
        check(code == 451 and "shop.example" in text, f"deferred: {code} {text}")
    else:
        check("shop.example" in run("postqueue", "-p").stdout, f"held: {code} {text}")

    other = share(deferd)

    step("upgrade under traffic, with a live state.db and a shared Redis")
    failed = counts("shop.example")
    sender = Sender(mta)
    install(NEW, "deferd")
    deferd.stop()
    deferd.start()
    until(lambda: deferctl("status", ok=False).returncode == 0, "deferd answers")
    print(f"   {sender.end()} messages meanwhile")
    check(counts("shop.example") == failed, "the counts are there")
    check("shop.example" in deferctl("blocks").stdout, "the block is there")
    check(mta.wired(), "the mail server still asks")
    # The node of the version before goes on with the new one.
    deferctl("block", "after.example", "--for", "2h", "--reason", "test")
    until(lambda: "after.example" in other.blocks(), "the older node knows of the newer one's block")
    other.ctl("unblock", "after.example")
    until(lambda: "after.example" not in deferctl("blocks").stdout, "and the other way round")
    check("shop.example" in other.blocks(), "the older node still blocks")
    other.end()

    queue_helper(mta, deferd)

    step("downgrade from a newer store is refused")
    deferd.stop()
    with sqlite3.connect(STATE) as db:
        format_now = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute("PRAGMA user_version = 99")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    refused = install(OLD, "deferd", ok=False)
    check(refused.returncode != 0 and "has format 99" in refused.stderr + refused.stdout,
          f"refused: {refused.stdout} {refused.stderr}")
    version = run("dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", "deferd").stdout
    check(version.endswith("1 installed"), f"the newer one is still there: {version}")
    with sqlite3.connect(STATE) as db:
        db.execute(f"PRAGMA user_version = {format_now}")
    db.close()
    deferd.start()
    until(lambda: deferctl("status", ok=False).returncode == 0, "deferd answers")

    if mta.name == "postfix":
        step("a question without default_action=DUNNO: removal is refused")
        text = read("/etc/postfix/main.cf")
        write("/etc/postfix/main.cf", text.replace(", default_action=DUNNO", ""))
        refused = apt("remove", "deferd", ok=False)
        check(refused.returncode != 0 and "refuses mail when deferd" in refused.stderr, f"refused: {refused.stderr}")
        check("1 messages on hold" in refused.stderr, f"held mail is named: {refused.stderr}")
        write("/etc/postfix/main.cf", text)

    step("held mail: removal is refused, and says what to do")
    held_id = None
    if mta.name == "exim":
        run("sh", "-c", "printf 'Subject: x\\n\\nx\\n' | exim4 -odq -f web@shop.example ann@far.example")
        held_id = run("exim4", "-bpu").stdout.split()[2]
        run("exim4", "-MG", "deferd-held", held_id)
        refused = apt("remove", "deferd", ok=False)
        check(refused.returncode != 0 and "Exim holds" in refused.stderr, f"refused: {refused.stderr}")
        for one in re.findall(r"\S{6}-\S{6}-\S{2}", run("exim4", "-qGdeferd-held", "-bp").stdout):
            run("exim4", "-qGdeferd-held", "-MG", "", one)
        run("exim4", "-qff")

    step("purge under traffic")
    if mta.name == "postfix":
        run("postsuper", "-H", "ALL")
    os.makedirs("/run/deferd-notify", exist_ok=True)  # its unit would
    shutil.chown("/run/deferd-notify", "deferd", "deferd")
    notify = Daemon("/usr/sbin/deferd-notify", "/bin/true", user="deferd")
    until(lambda: os.path.exists("/run/deferd-notify/notify.sock.pid"), "deferd-notify listens")
    sender = Sender(mta)
    gone = apt("purge", "deferd")
    print(gone.stdout[gone.stdout.find("Removing deferd"):])
    for one in (deferd, notify):
        one.process.wait(LIMIT)  # the removal has ended it
    print(f"   {sender.end()} messages meanwhile")
    check(mta.send("web@shop.example", "ok@far.example")[0] == 250, "mail flows")
    before.check("the configuration is as it was")
    check(not os.path.exists("/var/lib/deferd") and not os.path.exists("/etc/deferd/deferd.toml"), "nothing is left")
    mta.stop()
    step("done")
    tell_times()


def container():
    """What deploy/container/Containerfile does to the system, and whether deferd runs so."""
    step("container: the image's own steps, without a container")
    text = read("/test/Containerfile").replace("\\\n", " ")
    commands = [one.strip() for one in re.search(r"^RUN (.*)$", text, re.M)[1].split("&&")]
    check(any("/tmp/deferd_*.deb" in one for one in commands), f"installs the package: {commands}")
    install(NEW, "deferd")
    for command in commands:
        if command.startswith("install "):
            run(*command.split())
    os.makedirs("/var/log/mail", exist_ok=True)
    write("/var/log/mail/mail.log", "")
    shutil.copy("/test/deferd.toml", "/etc/deferd/deferd.toml")
    user = re.search(r"^USER (\S+)$", text, re.M)[1]
    deferd = Daemon("/usr/sbin/deferd", "--config", "/etc/deferd/deferd.toml", user=user)
    health = re.search(r'^HEALTHCHECK .*CMD \[(.*)\]$', text, re.M)[1].replace('"', "").split(", ")
    until(lambda: run(*health, ok=False).returncode == 0, "the health check passes")
    check(os.stat("/run/deferd-door/policy.sock").st_mode & 0o777 == 0o666, "the mail server may ask")
    deferd.stop()
    apt("purge", "deferd")
    step("done")


if __name__ == "__main__":
    # No name server answers in this network: a refusal at once, no waiting.
    write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 sink.example\n")
    if sys.argv[1] == "container":
        container()
    elif sys.argv[1] == "exim":
        main(Exim(sys.argv[2]))
    else:
        main(Postfix())
    os._exit(0)
