"""Every row of the two help pages that people read by hand today, done by deferd.

A: "Identify the status and cause of a message that failed to deliver" (a mail filtering service).
B: "How to fix max defers" (a hosting company): the sentence, Track Delivery, the list of codes.
The actions on queued mail (page A) are not here: deferctl has no `queue` yet.
"""

import json
import time
import unittest

from deferd_process import LIMIT, DeferdTest, message_id, stamp

LOGIN = "bob@shop.example"


def arrival(name, login=LOGIN):
    return f"{stamp()} {name} <= {login} H=(pc) [192.0.2.1] P=esmtpsa A=plain:{login} S=300\n"


def line(name, flag, recipient, rest):
    return (f"{stamp()} {name} {flag} {recipient} R=dnslookup T=remote_smtp "
            f"{rest}\n")


def answered(name, flag, recipient, reply):
    code = "defer (-44) " if flag == "==" else ""
    return line(name, flag, recipient,
                f"{code}H=mx.far.example [198.51.100.9]: SMTP error from remote mail server after "
                f"RCPT TO:<{recipient}>: {reply}")


class HelpPages(DeferdTest):
    def setUp(self):
        self.daemon = self.deferd()
        self.daemon.wait_log("answers are checked")

    def track(self, *arguments, count=1):
        """The rows, once the daemon has read and stored them."""
        end = time.monotonic() + LIMIT
        while True:
            rows = self.daemon.json("track", *arguments)
            if len(rows) >= count or time.monotonic() > end:
                self.assertEqual(len(rows), count, arguments)
                return rows

    def page(self, *arguments):
        status, out = self.daemon.terminal(*arguments)
        self.assertEqual(status, 0, out)
        for text in out.splitlines():
            self.assertLessEqual(len(text), 80, text)
        return out

    def explain(self, reply):
        status, out, err = self.daemon.ctl("--json", "explain", reply)
        self.assertEqual(status, 0, err)
        return json.loads(out)

    # Page A: the states of a message, each with its icon there.

    def test_a_queued(self):
        name = message_id()
        self.daemon.append(arrival(name))
        row, = self.track("--outcome", "in-progress")
        self.assertEqual((row["id"], row["outcome"], row["type"]), (name, "queued", "inprogress"))

    def test_a_deferring_tells_why(self):
        name = message_id()
        self.daemon.append(arrival(name) + answered(name, "==", "ann@far.example",
                                                    "451 4.7.1 Greylisted, try again in 300 seconds"))
        row, = self.track("--outcome", "deferring")
        self.assertEqual((row["outcome"], row["class"]), ("deferred", "greylisting"))
        self.assertIn("asked to wait", self.page("track", "--outcome", "deferred"))
        self.assertIn("451 4.7.1 Greylisted", " ".join(self.page("track", name).split()))

    def test_a_failed_tells_why(self):
        name = message_id()
        self.daemon.append(arrival(name) + answered(name, "**", "ann@far.example",
                                                    "550 5.1.1 No such user here"))
        row, = self.track("--outcome", "failures")
        self.assertEqual(row["class"], "invalid_recipient")

    def test_a_deep_filtered_is_held(self):
        name = message_id()
        self.daemon.append(arrival(name) + f"{stamp()} {name} Message is frozen\n")
        row, = self.track("--outcome", "blocked")
        self.assertEqual((row["id"], row["outcome"]), (name, "held"))

    def test_a_logs_highlight_the_decisive_part_and_the_three_facts(self):
        name = message_id()
        self.daemon.append(
            arrival(name) +
            answered(name, "==", "ann@far.example", "451 4.7.1 Greylisted, try again later") +
            answered(name, "**", "ann@far.example", "550 5.1.1 No such user here") +
            f"{stamp()} {name} Completed\n")
        self.track("--id", name, count=3)
        page = self.page("track", name)
        decisive, = [text for text in page.splitlines() if text.startswith("=> ")]
        self.assertIn("failed", decisive)  # the status word
        after = page[page.index("=> "):]
        self.assertIn("mx.far.example [198.51.100.9]", after)  # the server, name and address
        self.assertIn("550 5.1.1 No such user here", " ".join(after.split()))  # its answer
        self.assertIn("what it means:", after)
        self.assertIn("what to do:", after)

    def test_a_status_words(self):
        sent, bounced, expired, deferred = (message_id() for _ in range(4))
        log = "".join(arrival(name) for name in (sent, bounced, expired, deferred))
        log += line(sent, "=>", "a@far.example", 'H=mx.far.example [198.51.100.9] C="250 OK"')
        log += answered(bounced, "**", "b@far.example", "550 5.1.1 No such user here")
        log += answered(deferred, "==", "d@far.example", "451 4.3.0 Try again")
        log += f"{stamp()} {expired} ** c@far.example: retry timeout exceeded\n"
        self.daemon.append(log)
        self.assertEqual(self.track("--outcome", "sent")[0]["id"], sent)
        self.assertEqual(self.track("--outcome", "deferred")[0]["id"], deferred)
        rows = self.track("--outcome", "bounced", count=2)
        self.assertEqual({row["id"]: row["expired"] for row in rows}, {bounced: False, expired: True})
        self.assertIn("expired", self.page("track", expired))

    def test_a_common_answers_explained(self):
        for reply, meant, words in (
                ("550 No Such User Here", "invalid_recipient", "Check the spelling"),
                ("452 Mailbox is full", "mailbox_full", "make room"),
                ("552 Message size 40000000 exceeds size limit 10000000 of server",
                 "message_too_large", "smaller"),
                ("452 4.3.1 Insufficient system resources", "server_resources", "Wait"),
                ("550 Please turn on SMTP Authentication in your mail client.", "relay_denied",
                 "MX records"),
                ("554 5.4.14 Hop count exceeded - possible mail loop", "mail_loop", "loop")):
            answer = self.explain(reply)
            self.assertEqual(answer["class"], meant, reply)
            self.assertIn(words, answer["advice"], reply)

    # Page B: the sentence, and the way to its cause.

    def block(self):
        log = ""
        for _ in range(5):
            name = message_id()
            log += arrival(name) + answered(name, "**", "typo@far.example",
                                            "550 5.1.1 No such user here")
        self.daemon.append(log)
        self.daemon.wait_log("BLOCKED")

    def test_b_the_sentence_and_why(self):
        self.block()
        self.assertIn("has exceeded the max defers and failures per hour (5/5 (100%)) allowed.",
                      " ".join(self.page("check", "shop.example").split()))
        page = self.page("why", "shop.example", "--all")
        self.assertIn("typo@far.example", page)  # is the recipient right?
        self.assertIn("The address does not exist", page)  # the result, in plain words
        self.assertIn("deferctl unblock shop.example", page)

    def test_b_one_mistyped_address_tried_again_and_again_is_one(self):
        name = message_id()
        self.daemon.append(arrival(name) + "".join(
            answered(name, "==", "typo@far.example", "450 4.1.1 User unknown") for _ in range(20)))
        self.track("--outcome", "deferred", count=20)
        self.assertEqual(self.daemon.json("why", "shop.example")["window"]["deferred"], 1)

    def test_b_causes(self):
        self.assertEqual(self.explain("550 5.1.1 recipient unknown")["class"], "invalid_recipient")
        no_mx = self.explain("550 5.4.4 Host or domain name not found: no MX record")
        self.assertEqual(no_mx["class"], "dns_routing")
        self.assertEqual(
            self.explain("450 4.7.1 too many failed attempts, rate limit reached")["class"],
            "rate_limited")

    def test_b_track_delivery_filters_and_columns(self):
        failed, deferred, delivered = message_id(), message_id(), message_id()
        self.daemon.append(
            "".join(arrival(name) for name in (failed, deferred, delivered)) +
            answered(failed, "**", "a@far.example", "550 5.1.1 No such user") +
            answered(deferred, "==", "b@far.example", "451 4.3.0 Try again") +
            line(delivered, "=>", "c@far.example", 'H=mx.far.example [198.51.100.9] C="250 OK"'))
        row, = self.track("--outcome", "failure")
        self.assertEqual((row["recipient"], row["type"]), ("a@far.example", "failure"))
        self.assertIn("550 5.1.1", row["message"])
        self.assertEqual(self.track("--outcome", "defer")[0]["type"], "defer")
        self.assertEqual(self.track("--outcome", "success")[0]["type"], "success")

    def test_b_the_list_of_codes(self):
        answer = self.explain("451 Internal resource temporarily unavailable")
        self.assertEqual((answer["class"], answer["code"]), ("greylisting", 451))
        self.assertEqual(answer["permanence"], "transient")
        self.assertIn("1 to 60 minutes", answer["advice"])
        self.assertIn("The recipient can permit the sender", answer["advice"])

    def test_b_states(self):
        """success, in progress, delayed, error as in the log; archived, rejected and what a filter
        kept back are told by whoever knows."""
        records = [{"id": f"r{n}", "recipient": "ann@far.example", "login": LOGIN,
                    "outcome": outcome, "reply": reply}
                   for n, (outcome, reply) in enumerate((
                       ("archived", "copy kept"),
                       ("rejected", "554 5.7.1 Client host [192.0.2.9] blocked using zen.spamhaus.org"),
                       ("filtered", "moved to the spam folder")))]
        path = self.daemon.write("records", "\n".join(map(json.dumps, records)) + "\n")
        self.assertEqual(self.daemon.json("record", path), {"recorded": 3})
        self.assertEqual(self.track("--outcome", "archived")[0]["type"], "success")
        rejected, = self.track("--outcome", "rejected")
        self.assertEqual((rejected["type"], rejected["class"]), ("failure", "reputation"))
        self.assertEqual(self.track("--outcome", "filtered")[0]["outcome"], "filtered")
        self.assertEqual(self.daemon.json("why", "shop.example")["window"]["bad"], 0)


if __name__ == "__main__":
    unittest.main()
