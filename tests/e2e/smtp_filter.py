"""An after-queue content filter: takes a message, hands it back, answers as amavis does."""

import re
import smtplib

from smtp_sink import SmtpSink


class SmtpFilter(SmtpSink):
    """Hands all mail back to 127.0.0.1:`port`, which is set before the first message comes."""

    def __init__(self):
        super().__init__("127.0.0.1")
        self.port_back = None

    def answer_data(self, sender, recipients):
        with smtplib.SMTP("127.0.0.1", self.port_back, "filter.example", timeout=60) as smtp:
            smtp.ehlo()
            smtp.mail(sender)
            for recipient in recipients:
                smtp.rcpt(recipient)
            code, text = smtp.data("Subject: test\r\n\r\nhello\r\n")
        new_id = re.search(r"queued as (\w+)", text.decode())[1]
        return f"{code} 2.0.0 from MTA(smtp:[127.0.0.1]:{self.port_back}): 250 2.0.0 Ok: queued as {new_id}"
