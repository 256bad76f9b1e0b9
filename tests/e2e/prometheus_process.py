"""A Prometheus of a test's own: a free port, a folder, a scrape each second. No sleeping."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from redis_server import LIMIT, free_port, until


def shortened(rules):
    """The same rules on a clock that runs faster: what takes minutes takes seconds."""
    rules = re.sub(r"(?m)^(\s+for:) \w+$", r"\1 1s", rules)
    rules = re.sub(r"\[\d+[mhd]\]", "[5s]", rules)
    return re.sub(r"offset \d+[mhd]", "offset 5s", rules)


class Prometheus:
    """One server that scrapes the target of aim() as job "deferd", instance "mx1"."""

    def __init__(self, rules):
        self.folder = tempfile.mkdtemp(prefix="deferd-prometheus-")
        self.write("rules.yml", rules)
        self.aim(None)
        self.write("prometheus.yml", f"""
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: ["{self.folder}/rules.yml"]
scrape_configs:
  - job_name: deferd
    file_sd_configs:
      - files: ["{self.folder}/targets.json"]
        refresh_interval: 1s
""")
        self.process = None
        self.port = 0
        until(self._start, "Prometheus starts")

    def write(self, name, text):
        """All of the file at once, for who watches it."""
        path = os.path.join(self.folder, name)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def aim(self, target):
        """Scrapes this host:port from now on; none before there is one."""
        self.write("targets.json", json.dumps(
            [{"targets": [target], "labels": {"instance": "mx1"}}] if target else []))

    def _start(self):
        """Whether it answers; with another port if somebody took the first."""
        if self.process is None or self.process.poll() is not None:
            self.port = free_port()
            with open(os.path.join(self.folder, "log"), "ab") as log:
                self.process = subprocess.Popen(
                    ["prometheus", f"--config.file={self.folder}/prometheus.yml",
                     f"--storage.tsdb.path={self.folder}/data", "--log.level=warn",
                     f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)
        try:
            self._get("/-/ready")
        except (OSError, urllib.error.URLError):
            return False
        return self.process.poll() is None

    def _get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=LIMIT) as answer:
            return answer.read()

    def query(self, expression):
        """[(labels, value)] now."""
        found = json.loads(self._get("/api/v1/query?" +
                                     urllib.parse.urlencode({"query": expression})))
        return [(one["metric"], float(one["value"][1])) for one in found["data"]["result"]]

    def alerts(self):
        """{name: state} of those that are pending or firing."""
        found = json.loads(self._get("/api/v1/alerts"))["data"]["alerts"]
        states = {}
        for one in found:
            name = one["labels"]["alertname"]
            states[name] = "firing" if "firing" in (one["state"], states.get(name)) else one["state"]
        return states

    def remove(self):
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(LIMIT)
        shutil.rmtree(self.folder)
