"""An SMTP server that answers by recipient and remembers what it answered."""

import socketserver
import threading


class _Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        try:
            self.converse()
        except ConnectionError:
            pass  # a client may end without QUIT

    def converse(self):
        self.say("220 sink.example ESMTP")
        sender, recipients = "", []
        while line := self.rfile.readline().decode(errors="replace").strip():
            word = line[:4].upper()
            if word in ("EHLO", "HELO"):
                self.say("250 sink.example")
            elif word == "MAIL":
                sender = line.split("<", 1)[1].split(">", 1)[0]
                self.say("250 OK")
            elif word == "RCPT":
                local = line.split("<", 1)[1].split("@", 1)[0]
                if self.server.takes_all:
                    local = ""
                if local.startswith(("nouser", "unsure", "busy")):
                    self.server.rejected(sender, line.split("<", 1)[1].split(">", 1)[0])
                if local.startswith("nouser"):
                    self.say("550 5.1.1 User unknown")
                elif local.startswith("unsure"):
                    self.say("450 4.1.1 User unknown, for now")
                elif local.startswith("busy"):
                    self.say("451 4.7.1 try again later")
                else:
                    recipients.append(line.split("<", 1)[1].split(">", 1)[0])
                    self.say("250 OK")
            elif word == "DATA":
                if not recipients:
                    self.say("503 no recipients")
                    continue
                self.say("354 go on")
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line)
                self.server.local.text = b"".join(lines).decode(errors="replace")
                self.server.accepted += [(sender, recipient) for recipient in recipients]
                self.say(self.server.answer_data(sender, recipients))
                recipients = []
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 OK")


class SmtpSink(socketserver.ThreadingTCPServer):
    """Listens at `host`, by default an address that stands for another host: 127.0.0.1 is this one."""
    daemon_threads = True

    def __init__(self, host="127.0.1.1"):
        super().__init__((host, 0), _Session)
        self.accepted = []  # (sender, recipient)
        self.takes_all = False  # whoever it is for
        self.local = threading.local()  # text: the message of this session
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    def rejected(self, sender, recipient):
        """Called before a recipient is refused, for now or for good."""

    def answer_data(self, sender, recipients):
        """The answer to a message of these."""
        return "250 OK queued"

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()
