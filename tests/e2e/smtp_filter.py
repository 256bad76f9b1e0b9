"""An after-queue content filter: takes a message, hands it back, answers as amavis does."""

import re
import smtplib

from smtp_sink import SmtpSink


class SmtpFilter(SmtpSink):
    """Hands all mail back to 127.0.0.1:`port_back`, which is set before the first message comes."""

    def __init__(self):
        super().__init__("127.0.0.1")
        self.port_back = None
        self.names_id = True  # in its answer
        self.keeps_message_id = True

    def answer_data(self, sender, recipients):
        text = self.local.text
        if not self.keeps_message_id:
            text = re.sub("(?im)^message-id:.*$", "Message-ID: <new.of.filter@filter.example>", text)
        with smtplib.SMTP("127.0.0.1", self.port_back, "filter.example", timeout=60) as smtp:
            smtp.ehlo()
            smtp.mail(sender)
            for recipient in recipients:
                smtp.rcpt(recipient)
            code, answer = smtp.data(text)
        if not self.names_id:
            return "250 2.0.0 OK"
        new_id = re.search(r"queued as (\w+)", answer.decode())[1]
        return f"{code} 2.0.0 from MTA(smtp:[127.0.0.1]:{self.port_back}): 250 2.0.0 Ok: queued as {new_id}"
