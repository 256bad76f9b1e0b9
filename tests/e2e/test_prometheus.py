"""The shipped Prometheus rules, runbook and Grafana dashboard, by a real Prometheus and a real deferd."""

import json
import math
import os
import re
import subprocess
import unittest
import xml.etree.ElementTree

from deferd_process import ASK, LIMIT, POLICY, SOURCE, DeferdTest, message
from prometheus_process import Prometheus, shortened
from redis_server import Redis, until

DEPLOY = os.path.join(SOURCE, "deploy")


def read(name):
    with open(os.path.join(DEPLOY, name), encoding="utf-8") as file:
        return file.read()


RULES = read("prometheus/deferd.rules.yml")
ALERTS = re.findall(r"- alert: (\w+)", RULES)
DASHBOARD = json.loads(read("grafana/deferd.json"))
PANELS = DASHBOARD["panels"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel.get("targets", [])]


def metric_names(text):
    """The metrics of deferd that `text` names; what rules record begins with instance... and a colon."""
    names = set(re.findall(r"(?<![\w:/.])deferd_[a-z0-9_]+(?![\w:])", text))
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}


class Files(unittest.TestCase):
    def promtool(self, *arguments):
        done = subprocess.run(["promtool", *arguments], cwd=os.path.join(DEPLOY, "prometheus"),
                              capture_output=True, text=True, timeout=LIMIT * 3, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_promtool_accepts_the_rules(self):
        self.promtool("check", "rules", "deferd.rules.yml")

    def test_the_cases_of_promtool_hold(self):
        self.promtool("test", "rules", "deferd.tests.yml")

    def test_each_alert_has_cases_that_fire_and_cases_that_do_not(self):
        cases = read("prometheus/deferd.tests.yml")
        silent = set(re.findall(r"alertname: (\w+), exp_alerts: \[\]", cases))
        fires = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels", cases))
        self.assertEqual(silent, set(ALERTS))
        self.assertEqual(fires, set(ALERTS))

    def test_each_alert_says_who_is_told_and_has_its_page(self):
        self.assertEqual(len(ALERTS), len(set(ALERTS)))
        for rule in RULES.split("- alert: ")[1:]:
            name = rule.split("\n", 1)[0]
            self.assertRegex(rule, r"severity: (page|ticket|digest)\n", name)
            for annotation in ("summary", "description"):
                self.assertRegex(rule, rf"\n +{annotation}: \S", name)
            self.assertIn(f"\n          runbook: deploy/doc/runbook.md#{name.lower()}\n", rule)

    def test_each_alert_has_its_section_and_each_section_its_alert(self):
        sections = re.split(r"(?m)^## ", read("doc/runbook.md"))[1:]
        self.assertEqual([section.split("\n", 1)[0] for section in sections], ALERTS)
        for section in sections:
            for part in ("Means", "At stake", "Look at", "Do"):
                self.assertEqual(section.count(f"\n**{part}.** "), 1, section)

    def test_the_dashboard_is_in_order(self):
        self.assertGreaterEqual(DASHBOARD["schemaVersion"], 39)
        ids = [panel["id"] for panel in PANELS]
        self.assertEqual(len(ids), len(set(ids)))
        variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
        self.assertEqual(variables, {"datasource", "instance", "subject"})
        taken = set()
        for panel in PANELS:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & taken, f"{panel['title']} covers another panel")
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            taken |= cells
            if panel["type"] == "row":
                continue
            self.assertTrue(panel["title"] and panel["description"])
            for target in panel.get("targets", []):
                self.assertEqual(target["datasource"]["uid"], "${datasource}", panel["title"])
                self.assertIn("$instance", target["expr"], panel["title"])


class Run(DeferdTest):
    """A server with mail in every poll, so that it is healthy unless the test makes trouble."""

    def setUp(self):
        self.redis = Redis()
        self.addCleanup(self.redis.remove)
        # subject_series belongs to [http], the last table before what is added.
        # A sink that has nothing to say, so that the series of notices are there.
        self.daemon = self.deferd(f'subject_series = 20\n[shared]\nredis = "{self.redis.url}"\n'
                                  '[notice.nobody]\ntype = "webhook"\nurl = "http://127.0.0.1:9/"\n'
                                  'allow_private = true\non = ["waiting"]\n',
                                  logs=("mainlog", "second"), wait=False)
        self.daemon.write("second", "")
        self.daemon.wait_log("answers are checked")
        self.prometheus = Prometheus(shortened(RULES))
        self.addCleanup(self.prometheus.remove)
        self.aim()
        self.asking = True
        self.fired = set()

    def aim(self):
        self.prometheus.aim(self.daemon.json("status")["listening"]["http"])

    def mail(self):
        """Some mail, each message with its question."""
        self.daemon.append("".join(message("delivered", "ann@good.example") for _ in range(5)))
        for _ in range(5 if self.asking else 0):
            self.daemon.ask(ASK.replace("bob@bad", "ann@good"))

    def sent(self, host, outcome, senders, reply=""):
        """A message of each sender to `host`, which answers `reply` if it is not delivered."""
        for sender in senders:
            lines = message(outcome, sender, recipient=f"someone@{host}")
            lines = lines.replace(" H=mx ", f" H=mx.{host} ")
            self.daemon.append(re.sub(r"45\d \d.*|55\d \d.*", reply, lines) if reply else lines)

    def alerts(self):
        """Those that are pending or firing; how fast a busy machine answers is not tested here."""
        alerts = self.prometheus.alerts()
        alerts.pop("DeferdAnswersSlow", None)
        return alerts

    def poll(self, condition, mail=True):
        def look():
            if mail:
                self.mail()
            alerts = self.alerts()
            self.fired |= {name for name, state in alerts.items() if state == "firing"}
            return condition(alerts)
        return look

    def wait_fired(self, *names, mail=True):
        try:
            until(self.poll(lambda _: self.fired >= set(names), mail), "all of them fire")
        except AssertionError:
            self.fail(f"not fired: {set(names) - self.fired}")

    def wait_quiet(self):
        try:
            until(self.poll(lambda alerts: not alerts), "all alerts are resolved")
        except AssertionError:
            self.fail(f"not resolved: {self.alerts()}\n{self.daemon.ctl('incidents')[1]}")

    def test_the_rules_and_the_dashboard_in_a_day_with_trouble(self):
        prometheus, daemon = self.prometheus, self.daemon
        until(self.poll(lambda _: prometheus.query('count_over_time(up{job="deferd"}[1m]) >= 7')),
              "Prometheus scrapes")
        self.wait_quiet()
        until(self.poll(lambda _: prometheus.query('count_over_time(up{job="deferd"}[1m]) >= 10')),
              "some evaluations more")
        self.assertEqual(self.alerts(), {}, "healthy")
        self.check_names()
        self.check_panels()

        # Several troubles at once.
        self.fired.clear()
        good = [f"ann@good{i}.example" for i in range(8)]
        self.sent("elsewhere.example", "delivered", good)
        self.sent("ill.example", "deferred", good, "451 4.3.0 Temporary server failure, try later")
        os.rename(daemon.path("second"), daemon.path("elsewhere"))
        self.asking = False
        daemon.append("".join(message("failed", f"bob@bad{i}.example")
                              for i in range(12) for _ in range(5)))
        daemon.write("policy.toml", POLICY + "[rule.bad]\npercent = 500\n")
        daemon.hangup()
        daemon.ask("what is this")
        self.redis.kill()
        self.wait_fired("DeferdLogUnreadable", "DeferdUnchecked", "DeferdNotAsked", "DeferdSubjectBlocked",
                        "DeferdManyBlocked", "DeferdPolicyStale", "DeferdMalformedQuestions",
                        "DeferdRedisDown", "DeferdDestinationTrouble")

        # And their end.
        self.sent("ill.example", "delivered", good)
        os.rename(daemon.path("elsewhere"), daemon.path("second"))
        self.asking = True
        self.redis.start()
        daemon.write("policy.toml", POLICY)
        daemon.hangup()
        for i in range(12):
            self.assertEqual(daemon.ctl("unblock", f"bad{i}.example")[0], 0)
        self.wait_quiet()

        # Others refuse this server's address, until they do not.
        self.fired.clear()
        refused = ("550 5.7.1 Service unavailable, Client host [192.0.2.77] blocked using "
                   "zen.spamhaus.org")
        until(self.poll(lambda _: self.sent("strict.example", "failed", ["ann@good.example"], refused) or
                        self.fired), "an alert fires")
        self.assertEqual(self.fired, {"DeferdOwnAddressRefused"})
        self.wait_quiet()

        self.check_picture()

        # No mail at all; then no deferd.
        self.fired.clear()
        self.wait_fired("DeferdNoAttempts", mail=False)
        self.assertEqual(self.fired, {"DeferdNoAttempts"})
        daemon.stop()
        self.wait_fired("DeferdDown", mail=False)
        daemon.start()
        self.aim()
        self.wait_quiet()

    def check_picture(self):
        """The manual's picture can be drawn; DEFERD_PICTURE names a file that gets it."""
        done = subprocess.run(
            [os.path.join(DEPLOY, "grafana/picture.py"), f"http://127.0.0.1:{self.prometheus.port}", "90"],
            capture_output=True, text=True, timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        texts = [one.text for one in xml.etree.ElementTree.fromstring(done.stdout).iter() if one.text]
        for panel in PANELS:
            self.assertIn(panel["title"], texts)
        self.assertNotIn("no data", texts)
        if "DEFERD_PICTURE" in os.environ:
            with open(os.environ["DEFERD_PICTURE"], "w", encoding="utf-8") as file:
                file.write(done.stdout)

    def check_names(self):
        self.daemon.ctl("block", "named.example", "--for", "1h", "--reason", "for its series")
        page = self.daemon.http("/metrics")[1]
        self.daemon.ctl("unblock", "named.example")
        there = set(re.findall(r"(?m)^# TYPE (\w+) ", page))
        with_series = {re.sub(r"_(bucket|count|sum)$", "", name)
                       for name in re.findall(r"(?m)^(deferd_\w+)", page)} & there
        for name in ("prometheus/deferd.rules.yml", "grafana/deferd.json", "prometheus/deferd.tests.yml"):
            self.assertEqual(metric_names(read(name)) - with_series, set(), name)
        self.assertEqual(metric_names(read("doc/runbook.md")) - with_series, set())

    def check_panels(self):
        for title, query in QUERIES:
            query = query.replace("$__rate_interval", "1m").replace("$instance", ".*").replace(
                "$subject", ".*")
            found = self.prometheus.query(query)
            self.assertTrue(found, f"{title}: no data for {query}")
            self.assertFalse([one for one in found if math.isnan(one[1])], f"{title}: {query}")


if __name__ == "__main__":
    unittest.main()
