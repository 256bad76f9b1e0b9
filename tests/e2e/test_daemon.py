"""The daemon's day: a log in, a block out, the MTA asks, a person unblocks."""

import os
import shutil
import stat
import subprocess
import tempfile
import unittest

from deferd_process import ASK, DEFERD, POLICY, SOURCE, DeferdTest, message, run


class Day(DeferdTest):
    def test_block_ask_unblock(self):
        daemon = self.deferd()
        daemon.wait_log("answers are checked")
        daemon.append("".join(message("delivered", "ann@good.example") for _ in range(9)))
        self.assertEqual(daemon.ask(ASK), "pass")
        daemon.append("".join(message("failed") for _ in range(5)))
        line = daemon.wait_log("BLOCKED")
        self.assertIn("bad.example", line)
        self.assertRegex(
            daemon.ask(ASK),
            r"^reject Domain bad\.example has exceeded the max defers and failures per hour "
            r"\(5/5 \(100%\)\) allowed\. Message rejected, try again after \d\d:\d\d UTC\.$")
        self.assertRegex(daemon.ask(ASK.replace("submission", "queued")),
                         r"^hold .* Message held until it recovers\.$")
        self.assertEqual(daemon.ask(ASK.replace("bad.example", "good.example")), "pass")

        check = daemon.json("check", "bad.example")
        self.assertEqual(check["verdict"], "reject")
        self.assertFalse(check["unchecked"])
        block, = daemon.json("blocks")
        self.assertEqual((block["subject"], block["state"], block["rule"]),
                         ("bad.example", "blocked", "few"))
        self.assertEqual((block["count"], block["min_bad"], block["percent"]), (5, 5, 100))
        why = daemon.json("why", "bad.example")
        self.assertEqual(why["window"]["failed"], 5)
        self.assertTrue(why["rules"][0]["tripped"])
        self.assertEqual(why["case"]["receipt"]["counts"]["bad"], 5)
        top = daemon.json("top")
        self.assertEqual([one["subject"] for one in top], ["bad.example", "good.example"])

        status, out, _ = daemon.ctl("unblock", "bad.example", "--reason", "form fixed")
        self.assertEqual(status, 0)
        self.assertIn("unblocked", out)
        self.assertEqual(daemon.ask(ASK), "pass")
        events = daemon.json("why", "bad.example")["events"]
        self.assertEqual([event["change"] for event in events], ["unblocked", "opened"])
        self.assertEqual(events[0]["reason"], "form fixed")
        self.assertTrue(events[0]["by"], "who did it is recorded")
        self.assertEqual(daemon.stop(), 0)

    def test_a_person_blocks_and_ends_it(self):
        daemon = self.deferd()
        self.assertEqual(daemon.ctl("block", "ok.example", "--for", "2h", "--reason", "abuse")[0], 0)
        self.assertRegex(daemon.ask("check ok.example"),
                         r"^reject Mail of ok\.example was stopped by the administrator\. ")
        self.assertEqual(daemon.json("blocks")[0]["reason"], "abuse")
        self.assertEqual(daemon.ctl("unblock", "ok.example")[0], 0)
        status, _, err = daemon.ctl("unblock", "ok.example")
        self.assertEqual(status, 1)
        self.assertIn("no block to end", err)

    def test_every_page_fits_a_terminal(self):
        daemon = self.blocked()
        for verb in (["status"], ["check", "bad.example"], ["why", "bad.example"], ["blocks"],
                     ["top"], ["reload"], ["unblock", "bad.example"]):
            status, out = daemon.terminal(*verb)
            self.assertEqual(status, 0, out)
            for line in out.splitlines():
                if daemon.folder not in line:  # a path can be any length
                    self.assertLessEqual(len(line), 80, line)

    def test_doctors_question_is_answered_and_counted_as_no_mail_servers(self):
        daemon = self.deferd(hook='postfix = "unix:{folder}/policy.sock"\n')
        daemon.wait_log("answers are checked")
        findings = daemon.json("doctor")
        self.assertIn("no mail server has asked since deferd started",
                      [one["what"] for one in findings])
        self.assertFalse([one for one in findings if "got no answer" in one["what"]], findings)
        questions = daemon.json("status")["questions"]
        self.assertEqual((questions["answered"], questions["last"]), (0, None))

    def test_metrics_health_and_readiness(self):
        daemon = self.blocked()
        daemon.ask(ASK)
        code, body = daemon.http("/metrics")
        self.assertEqual(code, 200)
        self.assertIn('deferd_attempts_total{outcome="failed"} 5', body)
        self.assertIn('deferd_cases_open{mode="enforce"} 1', body)
        self.assertIn('deferd_questions_total{verdict="reject"} 1', body)
        self.assertNotIn("bad.example", body, "domains are no labels")
        lint = subprocess.run(["promtool", "check", "metrics"], input=body, text=True,
                              capture_output=True, check=False)
        self.assertEqual((lint.returncode, lint.stderr), (0, ""))
        self.assertEqual(daemon.http("/healthz")[0], 200)
        self.assertEqual(daemon.http("/readyz")[0], 200)
        self.assertEqual(daemon.http("/")[0], 404)

    def test_a_bad_reload_keeps_the_policy_loudly(self):
        daemon = self.blocked()
        before = daemon.json("status")["policy"]["hash"]
        daemon.write("policy.toml", "[rule.few]\nmin_bad = 5\npercent = 500\nwindow = \"7m\"\n")
        daemon.hangup()
        self.assertIn("policy.toml:3:", daemon.wait_log("percent"))
        daemon.wait_log("stays in force")
        after = daemon.json("status")["policy"]
        self.assertEqual(after["hash"], before)
        self.assertTrue(after["stale"])
        self.assertIn("deferd_policy_stale 1", daemon.http("/metrics")[1])
        self.assertTrue(daemon.ask(ASK).startswith("reject"))
        status, _, err = daemon.ctl("reload")
        self.assertEqual(status, 1)
        self.assertIn("policy.toml:3:", err)

        # A start with it goes on with the policy of before too, and goes on following the file.
        daemon.stop()
        daemon.start()
        daemon.wait_log("invalid policy; the last valid policy stays in force")
        after = daemon.json("status")["policy"]
        self.assertEqual(after["hash"], before)
        self.assertTrue(after["stale"])
        self.assertIn("policy.toml:3:", after["error"])
        self.assertIn("INVALID POLICY FILE", daemon.ctl("status")[1])
        self.assertTrue(daemon.ask(ASK).startswith("reject"))
        # The check that the unit makes first says so, and does not stop the start.
        status, _, err = run(DEFERD, "--config", daemon.config_path, "--check")
        self.assertEqual(status, 1)
        self.assertIn("policy.toml:3:", err)
        with open(os.path.join(SOURCE, "deploy/systemd/deferd.service"), encoding="utf-8") as unit:
            self.assertIn("\nExecStartPre=-/usr/sbin/deferd --check ", unit.read())

        daemon.write("policy.toml", POLICY + "[exempt]\ndomains = [\"ok.example\"]\n")
        self.assertEqual(daemon.ctl("reload")[0], 0)
        after = daemon.json("status")["policy"]
        self.assertNotEqual(after["hash"], before)
        self.assertFalse(after["stale"])

    def test_maps_are_read_again_when_they_change(self):
        folder = tempfile.mkdtemp(prefix="deferd-e2e-")
        self.addCleanup(shutil.rmtree, folder)
        users = os.path.join(folder, "users")
        with open(users, "w", encoding="utf-8") as file:
            file.write("web: shop.example\n")
        daemon = self.deferd(config=f'[charge]\nusers = "{users}"\n')
        daemon.ctl("block", "bakery.example", "--for", "1h", "--reason", "test")
        asked = "check\tsource=local\tuser=bread"
        self.assertEqual(daemon.ask(asked), "pass")
        # As panels do: a new file in the old one's place.
        with open(users + ".new", "w", encoding="utf-8") as file:
            file.write("web: shop.example\nbread: bakery.example\n")
        os.rename(users + ".new", users)
        daemon.wait_log("have changed: read again")
        self.assertTrue(daemon.ask(asked).startswith("hold"))
        with open(users, "w", encoding="utf-8") as file:
            file.write("web: not a domain\n")
        daemon.wait_log("the previous lists stay in force")
        self.assertTrue(daemon.ask(asked).startswith("hold"))
        self.assertTrue(daemon.json("status")["policy"]["stale"])
        self.assertIn("users:1:", daemon.json("status")["policy"]["error"])
        with open(users, "w", encoding="utf-8") as file:
            file.write("web: shop.example\n")
        daemon.wait_log("have changed: read again")
        self.assertEqual(daemon.ask(asked), "pass")
        self.assertFalse(daemon.json("status")["policy"]["stale"])

    def test_lists_of_the_policy_are_read_again_when_they_change(self):
        folder = tempfile.mkdtemp(prefix="deferd-e2e-")
        self.addCleanup(shutil.rmtree, folder)
        partners = os.path.join(folder, "partners")
        with open(partners, "w", encoding="utf-8") as file:
            file.write("# none yet\n")
        daemon = self.blocked(policy=POLICY + f"""
[exempt.partners]
domains = ["{partners}"]
reason = "they relay for us"
""")
        self.assertTrue(daemon.ask(ASK).startswith("reject"))
        hash_before = daemon.json("status")["policy"]["hash"]
        with open(partners, "w", encoding="utf-8") as file:
            file.write("bad.example\n")
        daemon.wait_log("have changed: read again")
        self.assertEqual(daemon.ask(ASK), "pass")
        self.assertNotEqual(daemon.json("status")["policy"]["hash"], hash_before)
        shown = daemon.ctl("policy", "show", "bad.example")[1]
        self.assertIn("they relay for us", shown)
        os.unlink(partners)
        daemon.wait_log("the previous lists stay in force")
        self.assertEqual(daemon.ask(ASK), "pass")
        self.assertIn("partners", daemon.json("status")["policy"]["error"])

    def test_switching_to_shadow_lets_mail_flow(self):
        daemon = self.blocked()
        daemon.write("policy.toml", 'mode = "shadow"\n' + POLICY)
        self.assertEqual(daemon.ctl("reload")[0], 0)
        self.assertEqual(daemon.ask(ASK), "pass")
        self.assertEqual(daemon.json("status")["mode"], "shadow")

    def test_shadow_shows_and_answers_pass(self):
        daemon = self.deferd(policy='mode = "shadow"\n' + POLICY)
        daemon.append("".join(message("failed") for _ in range(5)))
        daemon.wait_log("would be blocked")
        self.assertEqual(daemon.ask(ASK), "pass")
        self.assertTrue(daemon.json("blocks")[0]["shadow"])

    def test_follows_through_rotation(self):
        daemon = self.deferd()
        daemon.append("".join(message("failed") for _ in range(2)))
        os.rename(daemon.log_path, daemon.log_path + ".1")
        with open(daemon.log_path + ".1", "a", encoding="utf-8") as late:
            late.write(message("failed"))
        daemon.append("".join(message("failed") for _ in range(2)))
        self.assertIn("5 bad", daemon.wait_log("BLOCKED"))

    def test_a_first_start_after_rotation_knows_the_hour_before(self):
        daemon = self.blocked()
        daemon.stop()
        os.rename(daemon.log_path, daemon.log_path + ".1")
        daemon.write("mainlog", message("delivered"))
        shutil.rmtree(daemon.path("state"))
        daemon.start()
        daemon.wait_log("BLOCKED")
        self.assertEqual(daemon.json("why", "bad.example")["window"]["failed"], 5)

    def test_unchecked_while_the_log_is_missing(self):
        daemon = self.deferd(logs=("absent.log",))
        daemon.wait_log("absent.log: ")
        status = daemon.json("status")
        self.assertTrue(status["unchecked"])
        self.assertIn("absent.log", status["causes"][0])
        self.assertEqual(daemon.ask(ASK), "pass", "mail flows all the same")
        self.assertEqual(daemon.http("/readyz")[0], 503)
        daemon.write("absent.log", "")
        daemon.wait_log("answers are checked")
        self.assertFalse(daemon.json("check", "bad.example")["unchecked"])

    def test_replay_says_what_the_daemon_did(self):
        daemon = self.blocked()
        block, = daemon.json("blocks")
        replay = daemon.json("replay", "--policy", daemon.policy_path, daemon.log_path)
        self.assertEqual(replay["outcomes"], {"delivered": 0, "deferred": 0, "failed": 5})
        domain, = replay["domains"]
        self.assertEqual(domain["domain"], "bad.example")
        replayed, = domain["blocks"]
        for field in ("since", "until", "rule", "count", "min_bad", "percent"):
            self.assertEqual(replayed[field], block[field], field)

    def test_a_log_of_yesterday_blocks_nobody(self):
        folder_log = "".join(message("failed", when="2026-01-05 10:00:00") for _ in range(50))
        daemon = self.deferd()
        daemon.append(folder_log)
        daemon.append("".join(message("failed", "eve@now.example") for _ in range(5)))
        self.assertIn("now.example", daemon.wait_log("BLOCKED"))
        self.assertEqual([b["subject"] for b in daemon.json("blocks")], ["now.example"])

    def test_socket_permissions_are_those_asked_for(self):
        daemon = self.deferd()
        self.assertEqual(stat.S_IMODE(os.stat(daemon.hook).st_mode), 0o666)
        self.assertEqual(stat.S_IMODE(os.stat(daemon.admin).st_mode), 0o660)
        daemon.stop()
        self.assertFalse(os.path.exists(daemon.hook), "sockets go with the daemon")

    def test_policy_verbs_work_alone(self):
        status, out, _ = run(os.path.join(os.path.dirname(DEFERD), "deferctl"), "policy", "show",
                             "--default")
        self.assertEqual(status, 0)
        self.assertIn("[rule.ratio]", out)
        deferctl = os.path.join(os.path.dirname(DEFERD), "deferctl")
        status, out, err = run(deferctl, "policy", "check", "-", stdin=out)
        self.assertEqual(status, 0, err)
        status, out, err = run(deferctl, "policy", "check", "-", stdin="mode = \"sleep\"\n")
        self.assertEqual(status, 1)
        self.assertRegex(err, r"-:1:\d+: ")

    def test_usage_errors_are_two(self):
        daemon = self.deferd()
        for verb in ([], ["nonsense"], ["why"], ["block", "a.example"], ["top", "--limit", "-1"]):
            self.assertEqual(daemon.ctl(*verb)[0], 2, verb)
        self.assertEqual(daemon.ctl("--help")[0], 0)


if __name__ == "__main__":
    unittest.main()
