"""The API and the console behind a proxy with TLS: nginx and Caddy, with the examples of the manual as they are there,
but for the paths, the port and the certificate."""

import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import unittest
import urllib.parse

from api_client import answer_to
from deferd_process import DEFERCTL, LIMIT, SOURCE, DeferdTest, run
from redis_server import Certificates, free_port, until

API = """
[api]
listen = "unix:{folder}/api.sock"
mode = "0666"
console = true
owner_page = "https://localhost"
"""

NGINX = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
{example}
    }}
}}
"""

# In the example's own blocks.
CADDY = """
    admin off
    auto_https off
    storage file_system {folder}/storage
"""
CADDY_SITE = """
    bind 127.0.0.1
    tls {certificate} {key}
    log {{
        output file {folder}/access.log
    }}
"""


def examples(name):
    """The code blocks of the manual that follow the line "nginx:" or "Caddy:" up to the next of these."""
    with open(os.path.join(SOURCE, "deploy/doc/api.md"), encoding="utf-8") as file:
        text = file.read().split("## A proxy for TLS\n")[1]
    part = re.split(r"^(?:nginx|Caddy):$", text.split(f"\n{name}:\n")[1], flags=re.M)[0]
    return re.findall(r"^```\n(.*?)^```$", part, re.M | re.S)


class Behind:
    """What both must pass on. `start` begins the proxy and returns its process."""

    program = ""

    def setUp(self):
        if shutil.which(self.program, path="/usr/sbin:/usr/bin") is None:
            self.skipTest(f"{self.program} is not installed")
        certificates = Certificates()
        self.addCleanup(shutil.rmtree, certificates.folder)
        self.ca = certificates.ca
        certificate = certificates.sign("localhost", "DNS:localhost")
        self.deferd = self.blocked(config=API)
        self.folder = tempfile.mkdtemp(prefix="deferd-proxy-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.chmod(self.folder, 0o755)
        self.port = free_port()
        self.host = f"localhost:{self.port}"
        self.values = {"folder": self.folder, "port": self.port, "certificate": certificate,
                       "key": certificates.key(certificate)}
        self.log = open(os.path.join(self.folder, "output"), "w+", encoding="utf-8")
        self.addCleanup(self.log.close)
        self.proxy = self.start()
        self.addCleanup(self.proxy.wait, LIMIT)
        self.addCleanup(self.proxy.terminate)
        until(self.listens, "the proxy listens")

    def socket_in(self, example):
        self.assertIn("/run/deferd/api.sock", example)
        return example.replace("/run/deferd/api.sock", self.deferd.path("api.sock"))

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def output(self):
        with open(os.path.join(self.folder, "output"), encoding="utf-8") as file:
            return file.read()

    def listens(self):
        assert self.proxy.poll() is None, self.output()
        try:
            return self.ask("GET", "/console.css")[0] == 200
        except ConnectionRefusedError:
            return False

    def connection(self):
        return http.client.HTTPSConnection("localhost", self.port, timeout=LIMIT,
                                           context=ssl.create_default_context(cafile=self.ca))

    def ask(self, method, path, body=None, **headers):
        """(status, headers, text). `body`: a form, or JSON as text."""
        return answer_to(self.connection(), method, path, body,
                         {name.replace("_", "-"): value for name, value in headers.items()})

    def token(self, *arguments):
        return self.deferd.json("token", "add", *arguments)["token"]

    def log_in(self):
        """(cookie, csrf)"""
        _, headers, page = self.ask("GET", "/login")
        form = {"token": self.token("desk", "--role", "support"), "zone": "Europe/Berlin",
                "key": re.search(r'name="key" value="([^"]+)"', page)[1]}
        cookie = headers["Set-Cookie"]
        self.assertRegex(cookie, r"^__Host-deferd_login=.*; Secure")
        cookie = cookie.split(";")[0]
        # A page of another site, and no page at all.
        self.assertEqual(self.ask("POST", "/login", form, Cookie=cookie, Origin="https://evil.example")[0], 403)
        status, headers, text = self.ask("POST", "/login", form, Cookie=cookie, Origin=f"https://{self.host}")
        self.assertEqual((status, headers["Location"]), (303, "/"), text)
        self.assertRegex(headers["Set-Cookie"], r"^__Host-deferd_session=.*; HttpOnly; SameSite=Strict; Secure")
        cookie = headers["Set-Cookie"].split(";")[0]
        status, headers, page = self.ask("GET", "/", Cookie=cookie)
        self.assertEqual(status, 200)
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        return cookie, re.search(r'name="csrf" value="([^"]+)"', page)[1]

    def test_the_console(self):
        cookie, csrf = self.log_in()
        form = {"do": "unblock", "subject": "bad.example", "reason": "cleaned"}
        ours = f"https://{self.host}"
        self.assertEqual(self.ask("POST", "/act", form, Cookie=cookie, Origin=ours)[0], 403)
        form["csrf"] = csrf
        evil = "https://evil.example"
        for headers in ({"Origin": evil}, {"Origin": evil, "X_Forwarded_Host": "evil.example"},
                        {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}):
            self.assertEqual(self.ask("POST", "/act", form, Cookie=cookie, **headers)[0], 403, headers)
        self.assertEqual(self.deferd.json("check", "bad.example")["verdict"], "reject")
        self.assertEqual(self.ask("POST", "/act", form, Cookie=cookie, Origin=ours)[0], 303)
        self.assertEqual(self.deferd.json("check", "bad.example")["verdict"], "pass")
        self.assertIn("token:desk", json.dumps(self.deferd.json("why", "bad.example")))
        # The page's own cookie prefix holds: without it there is no session.
        bare = cookie.replace("__Host-", "")
        self.assertEqual(self.ask("GET", "/", Cookie=bare)[0], 303)

    def hears(self, path, **headers):
        connection = self.connection()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
        self.assertEqual(self.deferd.ctl("block", "other.example", "--for", "1h", "--reason", "a test")[0], 0)
        # The stream goes on: what arrives was not kept until its end.
        lines = []
        while not lines or not lines[-1].startswith("event:"):
            lines.append(answer.fp.readline().decode())
            self.assertNotEqual(lines[-1], "", "the stream has ended")
        connection.close()
        return lines[-1]

    def test_a_live_page_hears_at_once(self):
        cookie, _ = self.log_in()
        self.assertEqual(self.hears("/live", Cookie=cookie), "event: change\n")

    def test_events_of_the_api_arrive_at_once(self):
        heard = self.hears("/api/v1/events", Authorization=f"Bearer {self.token('panel')}", Accept="text/event-stream")
        self.assertTrue(heard.startswith("event: "), heard)

    def test_the_api_and_deferctl(self):
        admin = self.token("panel", "--role", "admin")
        self.assertEqual(self.ask("GET", "/api/v1/status")[0], 401)
        path = self.write("token", admin + "\n")
        os.chmod(path, 0o600)
        status, out, err = run(DEFERCTL, "--url", f"https://{self.host}", "--token-file", path, "--ca-file", self.ca,
                               "block", "bob@shop.example", "--for", "1h", "--reason", "a test")
        self.assertEqual((status, err), (0, ""), out)
        status, headers, text = self.ask("GET", "/api/v1/subjects/login%3Abob%40shop.example",
                                         Authorization=f"Bearer {admin}")
        self.assertEqual((status, json.loads(text)["state"]), (200, "blocked"))
        self.assertEqual(headers["Content-Type"], "application/json")
        status, _, _ = self.ask("POST", "/api/v1/reload", "{}", Authorization=f"Bearer {admin}",
                                      Content_Type="application/json")
        self.assertEqual(status, 200)

    def test_a_link_of_an_owner_is_not_logged(self):
        link = self.deferd.json("link", "make", "bad.example")["link"]
        secret = urllib.parse.urlsplit(link).path
        status, headers, _ = self.ask("GET", secret)
        self.assertEqual((status, headers["Referrer-Policy"]), (200, "strict-origin"))
        self.assertEqual(self.ask("GET", "/login?seen=1")[0], 200)
        until(lambda: "/login?seen=1" in self.access(), "the proxy logs")
        self.assertNotIn(secret, self.access())
        # Errors have a log of their own.
        self.deferd.stop()
        self.assertEqual(self.ask("GET", "/login")[0], 502)
        self.assertEqual(self.ask("GET", secret)[0], 502)
        self.assertNotIn(secret, self.access() + self.output() + self.errors())

    def errors(self):
        path = os.path.join(self.folder, "error.log")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8") as file:
            return file.read()

    def access(self):
        with open(os.path.join(self.folder, "access.log"), encoding="utf-8") as file:
            return file.read()


class Nginx(Behind, DeferdTest):
    program = "nginx"

    def start(self):
        example = "\n".join(self.socket_in(one) for one in examples("nginx"))
        user = "user root;" if os.getuid() == 0 else ""
        config = self.write("nginx.conf", NGINX.format(**self.values, user=user, example=example))
        return subprocess.Popen(["/usr/sbin/nginx", "-p", self.folder, "-c", config], stdout=self.log, stderr=self.log)


class Caddy(Behind, DeferdTest):
    program = "caddy"

    def start(self):
        example, = examples("Caddy")
        options, site = example.split("\ndeferd.example.com {\n")
        self.assertTrue(options.startswith("{\n"), options)
        config = self.write("Caddyfile", "{" + CADDY.format(**self.values) + options[2:] +
                            f"\nhttps://{self.host} {{" + CADDY_SITE.format(**self.values) + self.socket_in(site))
        return subprocess.Popen(["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", config],
                                stdout=self.log, stderr=self.log, env={"HOME": self.folder, "PATH": "/usr/bin:/bin"})

    def test_another_host_is_not_served(self):
        status, _, text = self.ask("GET", "/login", Host="evil.example")
        self.assertNotIn("deferd", text, status)


if __name__ == "__main__":
    unittest.main()
