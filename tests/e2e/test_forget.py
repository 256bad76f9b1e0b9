"""deferctl forget with a running deferd: what is gone, also from the disk, and what stays."""

import unittest

from deferd_process import ASK, DeferdTest, message


class Forget(DeferdTest):
    def caught_up(self, daemon, attempts):
        for _ in range(2000):
            if len(daemon.json("track", "--limit", "0", "--outcome", "bad", "--attempts")) >= attempts:
                return
        raise AssertionError("not caught up")

    def on_disk(self, daemon, text):
        found = []
        for suffix in ("", "-wal"):
            with open(daemon.path("state/state.db" + suffix), "rb") as file:
                if text.encode() in file.read():
                    found.append(suffix)
        return found

    def test_an_address_goes_and_the_block_stays(self):
        daemon = self.deferd()
        daemon.wait_log("answers are checked")
        daemon.append("".join(message("failed", recipient="private-person@far.example") for _ in range(3))
                      + "".join(message("failed") for _ in range(3)))
        daemon.wait_log("BLOCKED")
        self.caught_up(daemon, 6)
        before = daemon.json("why", "bad.example")
        self.assertTrue(self.on_disk(daemon, "private-person"))
        receipt = before["case"]["receipt"]
        private = sum("private-person" in one["recipient"] for one in receipt["attempts"])
        self.assertEqual(private, 3)

        dry = daemon.json("forget", "private-person@far.example", "--dry-run", "--config", daemon.config_path)
        self.assertEqual((dry["attempts"], dry["receipts"]), (3, 1))
        with open(daemon.policy_path, "a", encoding="utf-8") as policy:
            policy.write("# asked for by Private-Person@far.example\n")
        status, page, err = daemon.ctl("forget", "Private-Person@far.example", "--config", daemon.config_path)
        self.assertEqual(status, 0, err)
        self.assertIn("removed 3 attempts from the ledger, 3 from 1 receipt", page)
        self.assertIn("still named in " + daemon.policy_path, page)
        audit = daemon.wait_log("forget requested by")
        self.assertIn("3 attempts removed", audit)
        self.assertNotIn("private", "".join(daemon.lines).lower(), "the record does not name it")

        self.assertEqual(daemon.json("track", "private-person@far.example"), [])
        after = daemon.json("why", "bad.example")
        self.assertEqual(len(after["case"]["receipt"]["attempts"]), len(receipt["attempts"]) - 3)
        self.assertEqual(after["window"], before["window"])
        self.assertTrue(daemon.ask(ASK).startswith("reject"))
        self.assertEqual(daemon.json("why", "bad.example", "--verify")["finding"], "incomplete")
        self.assertEqual(self.on_disk(daemon, "private-person"), [])

        # A restart brings nothing back, and new mail is recorded.
        daemon.stop()
        daemon.start()
        daemon.wait_log("answers are checked")
        self.assertEqual(daemon.json("track", "private-person@far.example"), [])
        self.assertEqual(daemon.json("why", "bad.example")["window"], before["window"])

    def test_a_subject(self):
        daemon = self.blocked()
        daemon.append("".join(message("failed", login="eve@other.example") for _ in range(4)))
        self.caught_up(daemon, 9)
        gone = daemon.json("forget", "login:bob@bad.example", "--config", daemon.config_path)
        self.assertEqual(gone["attempts"], 10, "the arrivals too")
        self.assertEqual(daemon.json("track", "bad.example"), [])
        self.assertEqual(len(daemon.json("track", "other.example", "--attempts", "--outcome", "bad")), 4)
        self.assertTrue(self.on_disk(daemon, "eve@other.example"))
        self.assertEqual(daemon.ctl("forget", "no subject")[0], 1)

    def test_while_the_log_grows(self):
        daemon = self.deferd()
        daemon.wait_log("answers are checked")
        for number in range(10):
            daemon.append("".join(message("failed", login="bob@bad.example") for _ in range(100))
                          + "".join(message("failed", login="eve@other.example") for _ in range(100)))
            if number % 3 == 0:
                daemon.json("forget", "bad.example", "--config", daemon.config_path)
        for subject in ("bad.example", "other.example"):
            for _ in range(2000):
                if daemon.json("why", subject)["window"]["failed"] == 1000:
                    break
            self.assertEqual(daemon.json("why", subject)["window"]["failed"], 1000, "counts stay")
        daemon.json("forget", "bad.example", "--config", daemon.config_path)
        self.assertEqual(daemon.json("track", "bad.example", "--attempts"), [])
        found = daemon.json("track", "other.example", "--attempts", "--outcome", "failed", "--limit", "0")
        self.assertEqual(len(found), 1000)


if __name__ == "__main__":
    unittest.main()
