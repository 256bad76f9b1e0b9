"""Senders that try to end their field of the question, through a real Exim and every shipped snippet."""

import base64
import unittest

from exim_process import EximTest, main

# Exim takes each of them over SMTP and from sendmail -f. Believed, one would name another domain, login or
# host, or leave a sender without a domain.
HOSTILE = (
    'a."x\tdomain=good.example\ty"@bad.example',
    '"x\tlogin=eve@good.example\thost=192.0.2.77\ty"@bad.example',
    'a."\\"\tdomain=good.example\tlogin=eve@good.example"@bad.example',
    'a\\\tdomain=good.example@bad.example',
    'a."\t"@bad.example',
    '"a@good.example\tsender=eve@good.example"@bad.example',
    'a."\r\tdomain=good.example"@bad.example',
    '"' + '\tdomain=good.example' * 10 + '"@bad.example',
    '"' + 'x' * 5000 + '"@bad.example',
)
# No SMTP command can hold these.
HOSTILE_LOCAL = HOSTILE + (
    'a."\ncheck\tdomain=good.example\tsender=eve@good.example\n"@bad.example',
    'a."\n"@bad.example',
)


class HostileSenders(EximTest):
    def begin(self):
        users = self.users_file("web: bad.example\n")
        super().begin(config=f'[charge]\nrelay_hosts = ["127.0.0.1"]\nusers = "{users}"')

    def block(self, subject="bad.example"):
        self.assertEqual(self.daemon.ctl("block", subject, "--for", "1h", "--reason", "test")[0], 0)

    def accept(self, sender, login=None, client="127.0.0.1.4321"):
        """True if Exim took the message; some of the senders are too much for it."""
        lines = ["EHLO client.example"]
        if login:
            lines.append("AUTH PLAIN " + base64.b64encode(f"\0{login}\0secret".encode()).decode())
        lines += [f"MAIL FROM:<{sender}>", "RCPT TO:<ann@far.example>", "DATA", "Subject: x\r\n\r\nx\r\n.", "QUIT"]
        done = self.exim("-odq", "-oMa", client, "-bs", stdin="\r\n".join(lines) + "\r\n", check=False)
        return "250 OK id=" in done.stdout

    def test_a_relay_hosts_sender_stays_who_it_is(self):
        self.begin()
        self.block()
        taken = sum(self.accept(sender) for sender in HOSTILE)
        self.assertGreaterEqual(taken, 6, "the attack is none if Exim refuses them")
        self.assertEqual(self.log().count("Q=deferd-held"), taken)
        self.exim("-q")
        self.assertEqual(self.accepted(), [])
        self.assertTrue(self.accept("eve@good.example"))
        self.exim("-q")
        self.assertEqual(self.accepted(), ["eve@good.example"])

    def test_what_is_queued_stays_who_it_is(self):
        self.begin()
        taken = sum(self.accept(sender) for sender in HOSTILE)
        self.assertGreaterEqual(taken, 6)
        self.block()
        self.exim("-q")
        self.assertEqual(self.accepted(), [])
        self.assertEqual(self.log().count("Delivery deferred by system filter"), taken)
        self.daemon.ctl("unblock", "bad.example")
        self.exim("-q")
        self.assertEqual(len(self.accepted()), taken)

    def test_sendmail_stays_the_user_who_calls_it(self):
        self.begin()
        self.block()
        taken = sum(self.submit("web", sender, "ann@far.example") == 0 for sender in HOSTILE_LOCAL)
        self.assertGreaterEqual(taken, 6)
        self.exim("-q")
        self.assertEqual(self.accepted(), [])
        self.assertEqual(self.exim("-bpc").stdout.strip(), str(taken))

    def test_a_login_stays_who_it_is(self):
        self.begin()
        self.block("login:bob@bad.example")
        self.assertTrue(self.accept("bob@bad.example", "eve@good.example", "192.0.2.9.4321"))
        for sender in HOSTILE:
            self.assertFalse(self.accept(sender, "bob@bad.example", "192.0.2.9.4321"), sender[:60])


if __name__ == "__main__":
    main(unittest)
