"""The HTTP API as a panel uses it: tokens by deferctl, requests over the unix socket, the record of what was done."""

import http.server
import json
import os
import shutil
import socket
import stat
import tempfile
import threading
import time
import unittest

from api_client import API, ApiClient
from deferd_process import DEFERCTL, LIMIT, run


class ApiTest(ApiClient):
    def test_off_unless_configured(self):
        deferd = self.deferd()
        self.assertFalse(os.path.exists(deferd.path("api.sock")))

    def test_support_unblocks_and_the_record_names_the_token(self):
        deferd = self.deferd(config=API)
        self.assertEqual(stat.S_IMODE(os.stat(deferd.path("api.sock")).st_mode), 0o660)
        admin = self.token(deferd, "panel", "--role", "admin")
        support = self.token(deferd, "help-desk", "--role", "support")
        viewer = self.token(deferd, "reseller", "--domains", "bad.example")

        block = {"for": "1h", "reason": "spam from a form"}
        self.assertEqual(self.ask(deferd, support, "POST", "/subjects/bad.example/block", block)[0], 403)
        status, _, made = self.ask(deferd, admin, "POST", "/subjects/bad.example/block", block)
        self.assertEqual((status, made["by"]), (200, "token:panel"))
        self.ask(deferd, admin, "POST", "/subjects/other.example/block", block)
        self.assertEqual(deferd.ctl("check", "bad.example")[0], 0)

        names = [one["subject"] for one in self.ask(deferd, viewer, "GET", "/blocks")[2]]
        self.assertEqual(names, ["bad.example"])
        status, kind, problem = self.ask(deferd, viewer, "GET", "/subjects/other.example")
        self.assertEqual((status, kind, problem["status"]), (403, "application/problem+json", 403))
        self.assertEqual(self.ask(deferd, viewer, "GET", "/subjects/bad.example")[2]["state"], "blocked")
        self.assertEqual(self.ask(deferd, viewer, "POST", "/subjects/bad.example/unblock", {})[0], 403)

        status, _, ended = self.ask(deferd, support, "POST", "/subjects/bad.example/unblock", {"reason": "cleaned"})
        self.assertEqual(status, 200, ended)
        self.assertIn("token:help-desk", json.dumps(ended))
        deferd.wait_log("by token:help-desk (support): done")
        self.assertEqual(json.loads(deferd.ctl("--json", "check", "bad.example")[1])["verdict"], "pass")

        brief = self.token(deferd, "brief", "--expires", "1s")
        end = time.monotonic() + LIMIT
        while not next(one for one in deferd.json("token", "list") if one["name"] == "brief")["expired"]:
            self.assertLess(time.monotonic(), end)
        status, _, problem = self.ask(deferd, brief, "GET", "/status")
        self.assertEqual(status, 401)
        self.assertIn("this token expired at", problem["detail"])
        deferd.wait_log("token:brief (viewer) was refused: it expired at")
        self.assertIn("expired", deferd.ctl("token", "list")[1])

        self.assertEqual(deferd.ctl("token", "revoke", "help-desk")[0], 0)
        self.assertEqual(self.ask(deferd, support, "GET", "/status")[0], 401)
        self.assertEqual(self.ask(deferd, admin, "GET", "/status")[0], 200)
        self.assertNotIn("help-desk", deferd.ctl("token", "list")[1])
        for secret in (admin, support, viewer):
            self.assertNotIn(secret, "".join(deferd.lines))

    def test_deferctl_controls_another_server(self):
        deferd = self.deferd(config='[api]\nlisten = "127.0.0.1:0"\n')
        address = deferd.json("status")["listening"]["api"]

        def remote(role, *arguments, url=f"http://{address}"):
            return run(DEFERCTL, "--url", url, "--token-file", deferd.path(role), *arguments)

        for role in ("admin", "viewer"):
            deferd.write(role, self.token(deferd, role, "--role", role) + "\n")
            os.chmod(deferd.path(role), 0o600)
        deferd.write("stranger", "deferd_unknown\n")
        self.assertEqual(remote("admin", "block", "bad.example", "--for", "1h", "--reason", "a test")[0], 0)
        self.assertEqual(deferd.json("blocks")[0]["by"], "token:admin")
        for arguments in (("status",), ("why", "bad.example"), ("blocks", "--all"), ("top",), ("stats",), ("exempt", "list"),
                          ("incidents",), ("check", "bad.example"), ("track", "bad.example"), ("shadow", "report")):
            status, out, err = remote("viewer", *arguments)
            self.assertEqual((status, err), (0, ""), arguments)
            if arguments[0] in ("top", "exempt", "incidents", "track"):
                self.assertEqual(out, deferd.ctl(*arguments)[1])
        status, out, _ = remote("viewer", "--json", "check", "bad.example")
        self.assertEqual((status, json.loads(out)["verdict"]), (0, "reject"))
        for role, arguments, words in (
                ("viewer", ("unblock", "bad.example"), "needs a token with role support"),
                ("stranger", ("status",), "is refused: this token is not known"),
                ("admin", ("block", "bad", "--for", "1h", "--reason", "x"), "is not a domain that deferd has seen"),
                ("admin", ("queue", "list"), "does not see the mail queue"),
                ("admin", ("doctor",), "works on the server itself only"),
                ("admin", ("token", "list"), "works on the server itself only")):
            status, out, err = remote(role, *arguments)
            self.assertIn(words, err)
            self.assertEqual((status != 0, out), (True, ""), arguments)
        status, _, err = remote("admin", "status", url=f"https://{address}")
        self.assertEqual(status, 1)
        self.assertIn("TLS failed", err)
        deferd.stop()
        self.assertIn("cannot be reached", remote("admin", "status")[2])

    def test_deferctl_waits_for_a_late_result(self):
        asked = []
        answers = {"done": {"id": "x", "status": "done", "code": 200, "result": {"unblocked": True}},
                   "failed": {"id": "x", "status": "failed", "code": 409,
                              "result": {"status": 409, "detail": "nothing is blocked"}}}

        class Slow(http.server.BaseHTTPRequestHandler):
            def answer(self, code, body):
                text = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                name = self.path.split("/")[4].split(".")[0]
                address = "//other.example/late/x" if name == "elsewhere" else "/api/v1/late/" + name
                self.answer(202, {"status": "running", "detail": "do not send it again", "result": address})

            def do_GET(self):
                asked.append((self.path, self.headers["Authorization"]))
                name, times = self.path.rsplit("/", 1)[1], len(asked)
                if times == 1:
                    self.answer(200, {"id": "x", "status": "running"})
                elif times == 2:
                    self.answer(503, {"status": 503, "detail": "busy"})
                else:
                    self.answer(404 if name == "gone" else 200, answers.get(name, {"detail": "no result is kept here"}))

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        folder = tempfile.mkdtemp(prefix="deferd-late-")
        self.addCleanup(shutil.rmtree, folder)
        with open(os.path.join(folder, "token"), "w", encoding="utf-8") as file:
            file.write("deferd_x\n")
        url = f"http://127.0.0.1:{server.server_port}"

        def unblock(subject):
            asked.clear()
            return run(DEFERCTL, "--url", url + "/", "--token-file", os.path.join(folder, "token"), "--json", "unblock",
                       subject, "--reason", "x")

        status, out, err = unblock("done.example")
        self.assertEqual((status, json.loads(out)), (0, {"unblocked": True}))
        self.assertIn(f"waiting for its result, which will be at {url}/api/v1/late/done for an hour", err)
        self.assertEqual(asked, 3 * [("/api/v1/late/done", "Bearer deferd_x")])
        status, out, err = unblock("failed.example")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("nothing is blocked", err)
        self.assertIn("no result is kept here", unblock("gone.example")[2])
        # The token goes to no other address.
        status, _, err = unblock("elsewhere.example")
        self.assertEqual((status, asked), (1, []))
        self.assertIn("do not send it again", err)

    def test_a_damaged_file_of_tokens_stops_the_api_alone(self):
        deferd = self.deferd(config=API)
        admin = self.token(deferd, "panel", "--role", "admin")
        path = deferd.path("state/tokens.json")
        with open(path) as file:
            good = file.read()
        deferd.stop()
        with open(path, "w") as file:
            file.write(good[: len(good) // 2])
        deferd.start()
        status, kind, problem = self.ask(deferd, admin, "GET", "/status")
        self.assertEqual((status, kind), (503, "application/problem+json"), problem)
        self.assertIn("file of tokens", problem["detail"])
        self.assertEqual(deferd.json("check", "good.example")["verdict"], "pass")
        self.assertIn("tokens.json", deferd.json("status")["api"]["problem"])
        self.assertIn("refuses everybody", deferd.ctl("status")[1])
        status, _, err = deferd.ctl("token", "add", "second")
        self.assertNotEqual(status, 0)
        self.assertIn("left as it is", err)
        with open(path) as file:
            self.assertEqual(file.read(), good[: len(good) // 2])
        with open(path, "w") as file:
            file.write(good)
        self.assertEqual(self.ask(deferd, admin, "GET", "/status")[0], 200)

    def test_the_command_line_wins_over_the_environment(self):
        deferd = self.deferd(config=API)
        path = deferd.write("secret", "x\n")
        os.chmod(path, 0o644)
        nowhere = ("--url", "http://127.0.0.1:1", "--token-file", path)
        status, _, err = run(DEFERCTL, *nowhere, "status", env={**os.environ, "DEFERD_SOCKET": deferd.admin})
        self.assertEqual(status, 1)
        self.assertIn("http://127.0.0.1:1: cannot be reached", err)
        self.assertEqual(err.count("chmod 600"), 1, "a token that others may read")
        os.chmod(path, 0o600)
        self.assertNotIn("chmod", run(DEFERCTL, *nowhere, "status")[2])
        other = {**os.environ, "DEFERD_URL": "http://127.0.0.1:1"}
        self.assertEqual(run(DEFERCTL, "--socket", deferd.admin, "status", env=other)[0], 0)
        status, _, err = run(DEFERCTL, *nowhere, "--socket", deferd.admin, "status")
        self.assertEqual((status, err), (2, "deferctl: --socket and --url: give one of them\n"))
        status, _, err = run(DEFERCTL, "status", env={**other, "DEFERD_SOCKET": deferd.admin})
        self.assertEqual(status, 2)
        self.assertIn("DEFERD_SOCKET and DEFERD_URL are both set", err)

    def test_what_the_description_lists_is_answered(self):
        deferd = self.deferd(config=API)
        admin = self.token(deferd, "panel", "--role", "admin")
        status, _, description = self.ask(deferd, None, "GET", "/openapi.json")
        self.assertEqual((status, description["openapi"]), (200, "3.1.0"))
        for path, methods in description["paths"].items():
            if "get" not in methods:
                continue
            if path == "/api/v1/late/{id}":
                self.assertEqual(self.ask(deferd, admin, "GET", "/late/none")[0], 404)
                continue
            path = path.removeprefix("/api/v1").replace("{subject}", "good.example")
            required = [one["name"] for one in methods["get"]["parameters"] if one["in"] == "query" and one["required"]]
            if required:
                path += "?" + "&".join(f"{name}=550+5.1.1+unknown" for name in required)
            status, kind, _ = self.ask(deferd, admin, "GET", path)
            # There is no helper that sees the queue here.
            expected = (409, "application/problem+json") if path == "/queue" else (200, "application/json")
            self.assertEqual((status, kind), expected, path)


if __name__ == "__main__":
    unittest.main()
