"""Those who hear of deferd's events: a mailbox and a web server of the test, which misbehave on demand."""

import email
import email.policy
import http.server
import threading

from smtp_sink import SmtpSink


class Mailbox(SmtpSink):
    """Keeps each mail as an email.message.EmailMessage; `answer` is what it says after the data."""

    def __init__(self):
        self.mails = []
        self.answer = "250 OK queued"
        super().__init__("127.0.0.1")
        self.takes_all = True

    def answer_data(self, sender, recipients):
        if self.answer.startswith("250"):
            mail = email.message_from_string(self.local.text, policy=email.policy.default)
            mail.envelope = (sender, recipients)
            self.mails.append(mail)
        return self.answer

    def text(self, mail):
        return mail.get_body(("plain",)).get_content()


class _Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.hangs.is_set():
            self.server.go_on.wait(60)
            return
        self.server.requests.append((dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Webhook(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Hook)
        self.requests = []  # (headers, body)
        self.status = 200
        self.hangs = threading.Event()
        self.go_on = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    def close(self):
        self.go_on.set()
        self.shutdown()
        self.thread.join()
        self.server_close()
