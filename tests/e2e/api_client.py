"""A deferd with the HTTP API on a unix socket, and requests to it."""

import http.client
import json
import socket
import urllib.parse

from deferd_process import LIMIT, DeferdTest

API = """
[api]
listen = "unix:{folder}/api.sock"
mode = "0660"
"""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("deferd", timeout=LIMIT)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        self.sock.connect(self.path)


def answer_to(connection, method, path, body=None, headers=None):
    """(status, headers, text) of one request. `body`: a form, or text."""
    headers = dict(headers or {})
    if isinstance(body, dict):
        body = urllib.parse.urlencode(body)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, text


class ApiClient(DeferdTest):
    def ask(self, deferd, token, method, path, body=None):
        """(status, content type, JSON) of a request below /api/v1."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        status, answered, text = answer_to(UnixConnection(deferd.path("api.sock")), method, "/api/v1" + path,
                                           body, headers)
        return status, answered["Content-Type"], json.loads(text)

    def token(self, deferd, *arguments):
        status, out, err = deferd.ctl("--json", "token", "add", *arguments)
        self.assertEqual((status, err), (0, ""))
        return json.loads(out)["token"]
