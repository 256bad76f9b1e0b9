"""Bad input on purpose: a clear error or a counted skip, nothing lost, no crash."""

import os
import random
import resource
import socket
import unittest

from deferd_process import DEFERCTL, DEFERD, LIMIT, DeferdTest, message, run, stamp

ASK = "check\tlogin=bob@bad.example"


class BadLog(DeferdTest):
    def assert_still_counts(self, daemon):
        daemon.append("".join(message("failed") for _ in range(5)))
        daemon.wait_log("BLOCKED")
        self.assertTrue(daemon.ask(ASK).startswith("reject"))

    def test_a_line_of_200_megabytes(self):
        daemon = self.deferd()
        with open(daemon.log_path, "ab") as log:
            for _ in range(200):
                log.write(b"x" * (1 << 20))
            log.write(b"\n")
        self.assert_still_counts(daemon)
        self.assertGreaterEqual(daemon.json("status")["lines"]["malformed"], 1)
        with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
            peak = next(line for line in status if line.startswith("VmHWM"))
        self.assertLess(int(peak.split()[1]), 120 << 10, "a long line is not kept")

    def test_nul_bytes_and_invalid_utf8(self):
        daemon = self.deferd()
        with open(daemon.log_path, "ab") as log:
            log.write(b"\0" * 5000 + b"\n\xff\xfe\xc3\x28\n" + b"\r\n\t\n")
            log.write(stamp().encode() + b" 1xU000-000000-00 <= \xff\0\xfe@bad.example H=x\n")
            log.write(stamp().encode() + b" 1xU000-000000-00 ** \xff\0 R=x: \0\0\n")
        self.assert_still_counts(daemon)
        for verb in (["top", "--limit", "0"], ["status"], ["why", "bad.example"]):
            self.assertEqual(daemon.ctl(*verb)[0], 0)

    def test_random_bytes(self):
        seeded = random.Random(7)
        daemon = self.deferd()
        with open(daemon.log_path, "ab") as log:
            log.write(seeded.randbytes(3 << 20) + b"\n")
        self.assert_still_counts(daemon)

    def test_a_log_of_another_mta(self):
        daemon = self.deferd()
        path = os.path.join(os.path.dirname(__file__), "..", "testdata", "postfix.log")
        with open(path, encoding="utf-8", errors="surrogateescape") as other:
            daemon.append(other.read())
        self.assert_still_counts(daemon)

    def test_dates_of_1970_and_2099(self):
        daemon = self.deferd()
        daemon.append(message("failed", when="1970-01-01 00:00:00"))
        daemon.append("".join(message("failed", when="2099-12-31 23:59:59") for _ in range(9)))
        daemon.append(message("failed", when="2026-13-45 99:99:99"))
        self.assert_still_counts(daemon)
        self.assertEqual(daemon.json("why", "bad.example")["window"]["failed"], 5)

    def test_random_bytes_into_every_socket(self):
        daemon = self.deferd()
        seeded = random.Random(11)
        host, port = daemon.json("status")["listening"]["http"].rsplit(":", 1)
        doors = [(socket.AF_UNIX, daemon.hook), (socket.AF_UNIX, daemon.admin),
                 (socket.AF_INET, (host, int(port)))]
        for _ in range(150):
            for family, address in doors:
                with socket.socket(family, socket.SOCK_STREAM) as client:
                    client.settimeout(LIMIT)
                    client.connect(address)
                    try:
                        client.sendall(seeded.randbytes(seeded.randrange(1, 20000)))
                        if seeded.random() < 0.5:
                            client.shutdown(socket.SHUT_WR)
                            while client.recv(65536):
                                pass
                    except (BrokenPipeError, ConnectionResetError):
                        pass  # it may well close on nonsense
        self.assert_still_counts(daemon)

    def test_a_thousand_silent_clients_hurt_nobody(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        daemon = self.deferd()
        silent = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(1000)]
        for client in silent:
            client.connect(daemon.hook)
            client.send(b"check\tlogin=")
        self.assertEqual(daemon.ask(ASK), "pass")
        self.assert_still_counts(daemon)
        for client in silent:
            client.close()


class BadConfig(DeferdTest):
    def check(self, text):
        daemon = self.deferd()
        path = daemon.write("other.toml", text)
        return run(DEFERD, "--config", path, "--check")

    def test_every_mistake_at_once_with_its_place(self):
        status, _, err = self.check(
            'state_dir = 7\n[hook]\nexim = "example.com"\nmode = "rw"\n'
            '[charge]\norder = ["boss"]\nrelay_host = ["10.0.0.1"]\n[intake]\n'
            'exim = ["mainlog"]\ntimezone = "Mars/Olympus"\n')
        self.assertEqual(status, 1)
        for line in (1, 3, 4, 6, 7, 9, 10):
            self.assertRegex(err, rf"other\.toml:{line}:\d+: ")
        self.assertIn("relay_hosts", err, "the nearest key is named")

    def test_not_toml(self):
        status, _, err = self.check("state_dir = \n")
        self.assertEqual(status, 1)
        self.assertRegex(err, r"other\.toml:\d+:\d+: ")

    def test_a_word_that_is_no_verb(self):
        status, _, err = run(DEFERCTL, "stauts")
        self.assertEqual(status, 2)
        self.assertIn("unknown verb 'stauts'", err)

    def test_missing_and_unreadable_files(self):
        status, _, err = run(DEFERD, "--config", "/nowhere/deferd.toml")
        self.assertEqual(status, 1)
        self.assertIn("/nowhere/deferd.toml", err)
        status, _, err = self.check('policy = "/nowhere/policy.toml"\n')
        self.assertEqual(status, 1)
        self.assertIn("/nowhere/policy.toml", err)
        status, _, err = run(DEFERCTL, "replay", "/nowhere/mainlog")
        self.assertEqual(status, 1)
        self.assertIn("/nowhere/mainlog", err)
        status, _, err = run(DEFERCTL, "replay", "/")
        self.assertEqual(status, 1)
        self.assertIn("/", err)

    def test_no_daemon(self):
        status, _, err = run(DEFERCTL, "--socket", "/nowhere/admin.sock", "status")
        self.assertEqual(status, 1)
        self.assertIn("/nowhere/admin.sock", err)

    def test_a_second_daemon_names_the_first(self):
        first = self.deferd()
        status, _, err = run(DEFERD, "--config", first.config_path)
        self.assertEqual(status, 1)
        self.assertIn(f"pid {first.process.pid}", err)
        self.assertEqual(first.ask(ASK), "pass", "the first goes on")

    def test_a_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            daemon = self.deferd()
            path = daemon.write("other.toml", f'state_dir = "{daemon.path("state2")}"\n'
                                f'[admin]\nsocket = "{daemon.path("a2.sock")}"\n'
                                f'[http]\nlisten = "127.0.0.1:{port}"\n')
            status, _, err = run(DEFERD, "--config", path)
            self.assertEqual(status, 1)
            self.assertIn(f"127.0.0.1:{port}", err)
            self.assertIn("in use", err)


if __name__ == "__main__":
    unittest.main()
