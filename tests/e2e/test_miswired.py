"""A real Exim and a real Postfix, each wired wrongly in many ways: mail really passes deferd by, and
`deferctl doctor` names the fault and its remedy. Wired as the manual says, it finds none.
"""

import json
import os
import re
import socket
import stat
import threading
import unittest

from deferd_process import SOURCE
from exim_process import EXIM, EximTest, main
from postfix_process import ROOT, PostfixTest


def findings(daemon, *options):
    """What doctor says: [(level, what, remedy)]."""
    _, out, err = daemon.ctl("--json", "doctor", *options)
    assert out, err
    return [(one["level"], one["what"], one["remedy"]) for one in json.loads(out)]


class Logins:
    """As much of a Dovecot as smtpd wants before it believes in logins."""

    def __init__(self, path):
        self.server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server.bind(path)
        os.chmod(path, 0o666)
        self.server.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        clients = []
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                break
            clients.append(client)
            client.sendall(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n")
        for client in clients:
            client.close()

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.server.close()


class Miswired(unittest.TestCase):
    """What both have; `options` are doctor's, for the subclass's mail server."""

    def questions(self):
        return self.daemon.json("status")["questions"]["answered"]

    def expect(self, level, words):
        """Doctor's finding with these words, which has a remedy."""
        said = findings(self.daemon, *self.options())
        found = [one for one in said if words in one[1]]
        self.assertTrue(found, f"{words!r} is not among:\n" + "\n".join(map(str, said)))
        self.assertEqual(found[0][0], level, found)
        self.assertTrue(found[0][2], "it has a remedy")

    def expect_well(self):
        said = findings(self.daemon, *self.options())
        self.assertEqual([one for one in said if one[0] == "problem"], [])
        self.assertTrue([one for one in said if one[0] == "ok" and " ask" in one[1]], said)

    def doors_elsewhere(self, table, *paths):
        """deferd listens at these sockets too, as a list; it is started again."""
        with open(self.daemon.config_path, encoding="utf-8") as file:
            text = file.read()
        old = re.search(rf'^\[hook\](?:\n.*?)*?\n{table} = ("unix:[^"]*")$', text, re.M).group(1)
        new = "[" + ", ".join([old, *(f'"unix:{path}"' for path in paths)]) + "]"
        self.daemon.write("deferd.toml", text.replace(old, new))
        self.daemon.stop()
        self.daemon.start()
        self.daemon.wait_log("answers are checked")


class MiswiredExim(Miswired, EximTest):
    def options(self):
        return "--exim", EXIM, "--exim-config", self.config, "--postfix", "/nonexistent"

    def asked(self):
        """How many questions one message with a login makes."""
        before = self.questions()
        self.session([("eve@good.example", ["ann@far.example"])], "eve@good.example")
        return self.questions() - before

    def setUp(self):
        self.begin()
        with open(self.config, encoding="utf-8") as file:
            self.good = file.read()
        label = "\nacl_check_mail:\n"
        start = self.good.index(label) + len(label)
        self.snippet = self.good[start:self.good.index("# deferd end\n", start)]

    def wired(self, *changes):
        """The good configuration with these (from, to), each of which must be in it."""
        text = self.good
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text)

    def test_as_the_manual_says(self):
        self.assertEqual(self.asked(), 1)
        self.expect_well()

    def test_each_fault_is_found_and_named(self):
        label = "acl_check_mail:\n"
        option = "\nacl_smtp_mail = acl_check_mail\n"
        hook = self.daemon.hook
        missing = self.daemon.path("missing.acl")
        rows = [
            ("a wrong socket", [(self.snippet, self.snippet.replace(hook, hook + ".old"))],
             f"acl_check_mail asks at {hook}.old, and deferd listens at {hook}"),
            ("behind accept", [(label, label + "  accept\n")],
             "it stands behind an unconditional 'accept'"),
            ("behind accept for logins", [(label, label + "  accept authenticated = *\n")],
             "it stands behind 'accept authenticated = *'"),
            ("removed", [(self.snippet, "")], "asks about mail by sendmail(1) alone"),
            ("removed for local mail too", [(self.snippet, ""), ("\nacl_not_smtp =", "\n# acl_not_smtp =")],
             f"does not ask at {hook}"),
            ("an ACL by a wrong name", [(option, "\nacl_smtp_mail = acl_chek_mail\n")],
             "acl_smtp_mail names the ACL acl_chek_mail, which is not defined"),
            ("in an ACL that no option names", [(option, "\n")],
             "stands in the ACL acl_check_mail, which no acl_smtp_* option names"),
            ("in a file that is not there", [(option, f"\nacl_smtp_mail = {missing}\n")],
             f"ACL file {missing} (acl_smtp_mail) cannot be read: No such file"),
            ("in an option that computes its name", [(option, "\nacl_smtp_mail = ${if eq{1}{1}{plain}{x}}\n"),
                                                     (label, "plain:\n  accept\n" + label)],
             "computes the name of its ACL for acl_smtp_mail"),
            ("an include that is not there", [("\nbegin acl\n", f"\n.include {missing}\nbegin acl\n")],
             f"failed to open included configuration file {missing}"),
        ]
        for name, changes, words in rows:
            with self.subTest(name):
                self.wired(*changes)
                before = self.questions()
                self.exim("-odq", "-oMa", "192.0.2.9.4321", "-bs", check=False,
                          stdin="EHLO pc.example\r\nAUTH PLAIN AGV2ZUBnb29kLmV4YW1wbGUAeA==\r\n"
                                "MAIL FROM:<eve@good.example>\r\nRCPT TO:<ann@far.example>\r\nQUIT\r\n")
                self.assertEqual(self.questions(), before, "it really does not ask")
                self.expect("warning" if "computes" in words else "problem", words)

    def test_a_question_that_comes_and_does_not_help(self):
        option = "\nacl_smtp_mail = acl_check_mail\n"
        self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")
        denied = re.compile(r"^  (deny|discard)\n    condition", re.M)
        rows = [
            ("before there is a sender", [(option, "\nacl_smtp_helo = acl_check_mail\n"),
                                          (self.snippet, self.snippet.split("\n\n")[0] + "\n")],
             "asks in acl_smtp_helo, before it knows who sends"),
            ("without the login", [("{$authenticated_id}", "{}")], "does not say who has logged in"),
            ("nobody looks at the answer", [(self.snippet, denied.sub("  warn\n    condition", self.snippet)
                                             .replace("    message =", "    log_message ="))],
             "disregards the answer: no deny looks at $acl_m_deferd"),
        ]
        for name, changes, words in rows:
            with self.subTest(name):
                self.wired(*changes)
                self.assertIn("250 OK id=", self.session([("bob@bad.example", ["ann@far.example"])],
                                                         "bob@bad.example"), "blocked mail passes")
                self.expect("problem", words)
        self.wired()
        self.assertNotIn("250 OK id=", self.session([("bob@bad.example", ["ann@far.example"])],
                                                    "bob@bad.example"))

    def test_only_some_are_asked_about(self):
        self.wired((self.snippet, self.snippet.replace("  warn\n", "  warn\n    hosts = 10.0.0.0/8\n", 1)))
        self.assertEqual(self.asked(), 0)
        self.expect("warning", "asks in acl_check_mail only where 'hosts = 10.0.0.0/8' holds")

    def test_refuses_mail_without_deferd(self):
        self.wired(("{2s}{}{}}}}", "{2s}{}}}}"))
        self.expect("problem", "asks without a fail string")

    def test_sockets_that_exim_may_not_open(self):
        folder = self.daemon.path("doors")
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        door = os.path.join(folder, "exim.sock")
        self.doors_elsewhere("exim", door)
        self.wired((self.daemon.hook, door))
        self.assertEqual(self.asked(), 1, "the second of the list")
        self.expect_well()
        for name, path, mode, words in (
                ("the socket's mode", door, 0o600,
                 f"(Debian-exim:Debian-exim) may not ask at: {door} belongs to root:Debian-exim with mode 0600"),
                ("the folder's mode", folder, 0o700,
                 f"may not pass: {folder} belongs to root:root with mode 0700")):
            with self.subTest(name):
                before = stat.S_IMODE(os.stat(path).st_mode)
                os.chmod(path, mode)
                self.assertEqual(self.asked(), 0)
                self.expect("problem", words)
                os.chmod(path, before)
        self.assertEqual(self.asked(), 1)

    def test_one_of_two_configurations(self):
        self.wired()
        other = self.daemon.write("other.conf", self.good.replace(self.snippet, "").replace(
            "\nacl_not_smtp =", "\n# acl_not_smtp ="))
        said = findings(self.daemon, *self.options(), "--exim-config", other)
        self.assertIn("problem", [level for level, what, _ in said
                                  if what.startswith(f"Exim ({other}): Exim's configuration does not ask")])
        self.assertIn("ok", [level for level, what, _ in said
                             if what.startswith(f"Exim ({self.config}): Exim asks")])


class MiswiredPostfix(Miswired, PostfixTest):
    def options(self):
        return "--exim", "/nonexistent", "--postfix", self.programs, "--postfix-config", self.folder

    def setUp(self):
        self.begin(main="smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\n"
                        "smtpd_sasl_path = private/auth\n")
        logins = Logins(os.path.join(self.postfix.folder, "queue/private/auth"))
        self.addCleanup(logins.close)
        self.folder = os.path.join(self.postfix.folder, "postfix")
        # The unpacked program needs its own libraries.
        self.programs = self.daemon.path("programs")
        os.mkdir(self.programs)
        postconf = self.daemon.write("programs/postconf",
                                     f"#!/bin/sh\nexport LD_LIBRARY_PATH={ROOT}/usr/lib/postfix\n"
                                     f'exec {ROOT}/usr/sbin/postconf "$@"\n')
        os.chmod(postconf, stat.S_IRWXU)
        self.good = {}
        for name in ("main.cf", "master.cf"):
            with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                self.good[name] = file.read()
        # On all interfaces, which are 127.0.0.1.
        self.good["master.cf"] = self.good["master.cf"].replace(f"127.0.0.1:{self.postfix.port} inet",
                                                                f"{self.postfix.port} inet")
        with open(os.path.join(SOURCE, "deploy/postfix/ask.cf"), encoding="utf-8") as file:
            self.ask = re.search(r"check_policy_service \{[^}]*\}", file.read()).group(0)
        self.list = re.search(r"^smtpd_data_restrictions =\n.*\n", self.good["main.cf"], re.M).group(0)
        self.wired()

    def wired(self, *changes, master=()):
        """The good configuration with these (from, to); Postfix has read it when this returns."""
        for name, edits in (("main.cf", changes), ("master.cf", master)):
            text = self.good[name]
            for old, new in edits:
                self.assertIn(old, text)
                text = text.replace(old, new)
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        # A reload may leave an old smtpd at work for a moment.
        self.postfix.stop()
        self.postfix.start()

    def asked(self):
        before = self.questions()
        self.answer = self.postfix.send("eve@good.example", ["ann@far.example"], "eve@good.example")
        return self.questions() - before

    def test_as_the_manual_says(self):
        self.assertEqual(self.asked(), 1)
        self.expect_well()

    def test_each_fault_is_found_and_named(self):
        port = f"{self.postfix.port} inet n - n - - smtpd"
        here = os.path.join(self.postfix.folder, "queue/deferd/policy.sock")
        data = "smtpd_data_restrictions ="
        rows = [
            ("a wrong socket", [("unix:deferd/policy.sock", "unix:deferd/polcy.sock")], (),
             f"asks at unix:deferd/polcy.sock, and deferd listens at {here}"),
            ("removed", [(self.list, "")], (), "does not ask deferd"),
            ("behind permit_sasl_authenticated", [(data, data + " permit_sasl_authenticated,")], (),
             "in smtpd_data_restrictions it stands behind permit_sasl_authenticated"),
            ("behind permit_mynetworks", [(data, data + " permit_mynetworks,")], (),
             "asks about no client of mynetworks"),
            ("behind permit at the end of data",
             [(data, "smtpd_end_of_data_restrictions = permit,")], (),
             "in smtpd_end_of_data_restrictions it stands behind permit"),
            ("an override in master.cf", [], [(port, port + "\n  -o smtpd_data_restrictions=")],
             "its -o smtpd_data_restrictions= in master.cf replaces"),
            ("for ETRN alone", [(data, "smtpd_etrn_restrictions =")], (),
             "smtpd_etrn_restrictions is for ETRN alone"),
            ("a word that Postfix does not know", [("check_policy_service", "check_policy_servce")], (),
             "has the unknown restriction check_policy_servce"),
            ("in a class that nobody names",
             [(self.list, f"smtpd_restriction_classes = ours\nours = {self.ask}\n")], (),
             "stands in the class ours, which no restriction list names"),
            ("at another's service", [("unix:deferd/policy.sock", "unix:private/spf")],
             [(port, "spf unix - n n - 0 spawn user=nobody argv=/bin/false\n" + port)],
             "asks at unix:private/spf, the service spf of master.cf (spawn with user=nobody)"),
            ("by its absolute path, in the chroot",
             [("unix:deferd/policy.sock", f"unix:{here}")], [(port, port.replace("n - n -", "n - y -"))],
             "asks in vain: it is chrooted to"),
        ]
        for name, changes, master, words in rows:
            with self.subTest(name):
                self.wired(*changes, master=master)
                self.assertEqual(self.asked(), 0, "it really does not ask")
                self.expect("warning" if "mynetworks" in words else "problem", words)

    def test_before_there_is_a_login(self):
        self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")
        self.wired(("smtpd_data_restrictions =",
                    "smtpd_delay_reject = no\nsmtpd_client_restrictions = permit_inet_interfaces,\n"))
        self.assertEqual(self.postfix.send("bob@bad.example", ["ann@far.example"], "bob@bad.example")[0], 250)
        self.expect("problem", "before it knows who sends (smtpd_delay_reject = no)")

    def test_refuses_mail_without_deferd(self):
        self.wired((", default_action=DUNNO", ""))
        self.expect("problem", "without default_action=DUNNO")

    def test_a_class_that_a_list_names_is_well(self):
        self.wired((self.list, f"smtpd_restriction_classes = ours\nours = {self.ask}\n"
                               "smtpd_data_restrictions = ours\n"))
        self.assertEqual(self.asked(), 1)
        self.expect_well()

    def test_sockets_that_postfix_may_not_open(self):
        folder = os.path.join(self.postfix.folder, "queue/deferd")
        door = os.path.join(folder, "policy.sock")
        self.assertEqual(self.asked(), 1)
        for name, path, mode, words in (
                ("the socket's mode", door, 0o600,
                 f"(postfix:postfix) may not ask at: {door} belongs to root:postfix with mode 0600"),
                ("the folder's mode", folder, 0o750,
                 f"may not pass: {folder} belongs to root:root with mode 0750")):
            with self.subTest(name):
                before = stat.S_IMODE(os.stat(path).st_mode)
                os.chmod(path, mode)
                self.wired()  # smtpd keeps its connections until then
                self.assertEqual(self.asked(), 0)
                self.expect("problem", words)
                os.chmod(path, before)

    def test_one_of_two_instances(self):
        other = os.path.join(self.postfix.folder, "postfix-out")
        os.mkdir(other)
        for name, text in self.good.items():
            with open(os.path.join(other, name), "w", encoding="utf-8") as file:
                file.write(text.replace(self.list, ""))
        # Found by what the first says of others.
        self.wired(("smtpd_relay_restrictions", f"multi_instance_directories = {other}\nsmtpd_relay_restrictions"))
        with open(os.path.join(other, "main.cf"), "a", encoding="utf-8") as file:
            file.write("multi_instance_enable = yes\n")
        postconf = os.path.join(self.programs, "postconf")
        with open(postconf, encoding="utf-8") as file:
            text = file.read()
        # In place of /etc/postfix.
        with open(postconf, "w", encoding="utf-8") as file:
            file.write(text.replace("exec", f"export MAIL_CONFIG={self.folder}\nexec"))
        said = findings(self.daemon, "--exim", "/nonexistent", "--postfix", self.programs)
        lost = [one for one in said if one[1].startswith(f"Postfix ({other}): Postfix's listener")]
        self.assertEqual([one[0] for one in lost], ["problem"], said)
        self.assertIn(f"postfix -c {other} reload", lost[0][2])
        self.assertIn("ok", [level for level, what, _ in said
                             if what.startswith(f"Postfix ({self.folder}): Postfix's listeners that ask")])


if __name__ == "__main__":
    main(unittest)
