"""What is queued in a real Exim is held while its sender is blocked, and let go of afterwards."""

import fcntl
import json
import unittest

from exim_process import EXIM, EximTest, main
from queue_process import QueueHelper
from redis_server import until

POLICY = """
hold_limit = {limit}
hold_max = "{longest}"
release_auto_max = {release}
[rule.few]
min_bad = 5
percent = 50
action = {{ submission = "{submission}", local = "hold", queued = "hold", relay = "hold" }}
"""


def policy(limit=1000, release=100, submission="hold", longest="6h"):
    return POLICY.format(limit=limit, release=release, submission=submission, longest=longest)


class Held(EximTest):
    def start(self, *helper_options, **options):
        users = self.users_file("web: bad.example\n")
        self.begin(policy=policy(**options), config=f"""
[queue]
helper = "{{folder}}/queue.sock"
[charge]
users = "{users}"
""")
        self.helper = QueueHelper(self.daemon.folder, "--exim", EXIM, "--exim-config", self.config,
                                  "--postfix", "/nonexistent", *helper_options)
        self.addCleanup(self.helper.stop)

    def states(self):
        return {one["id"]: one["state"] for one in self.daemon.json("queue")}

    def block(self):
        self.assertEqual(self.daemon.ctl("block", "bad.example", "--for", "1h", "--reason", "test")[0], 0)

    def unblock(self, *options):
        status, out, err = self.daemon.ctl("unblock", "bad.example", "--reason", "test", *options)
        self.assertEqual(status, 0, err)
        return out

    def lock(self, path):
        """As a process of Exim has a message that it is at work on; until it is closed."""
        data = open(self.daemon.path(f"spool/{path}-D"), "r+b")
        self.addCleanup(data.close)
        fcntl.lockf(data, fcntl.LOCK_EX)
        return data

    def life(self, one):
        return [row["reply"] for row in self.daemon.json("track", one)]

    def queued(self, sender="bob@bad.example", count=1, to="ann"):
        """So many messages in the queue that nobody has tried: their ids."""
        before = set(self.states())
        for i in range(count):
            answer = self.session([(sender, [f"{to}{i}@far.example"])], sender)
            self.assertIn("250 OK id=", answer)
        until(lambda: len(set(self.states()) - before) == count, "they are listed")
        return sorted(set(self.states()) - before)

    def all_are(self, ids, state):
        states = self.states()
        return all(states.get(one) == state for one in ids)

    def test_queued_mail_is_held_and_let_go_of(self):
        self.start()
        mine, theirs = self.queued(count=3), self.queued("eve@good.example")
        self.block()
        until(lambda: self.all_are(mine, "held"), "it is held")
        self.assertEqual(self.states()[theirs[0]], "queued")
        self.exim("-q")
        self.assertEqual(self.accepted(), ["eve@good.example"], "only the other's mail left")
        self.unblock()
        until(lambda: len(self.accepted()) == 4, "it leaves by itself")
        until(lambda: self.states() == {}, "nothing is left")
        self.assertNotIn("**", self.log())
        life = [row["reply"] for row in self.daemon.json("track", mine[0])]
        self.assertIn("held by deferd: its sender is blocked", life)
        self.assertIn("released by deferd", life)

    def test_a_submission_is_held_and_over_the_limit_rejected(self):
        self.start(limit=2)
        self.blocked_by_its_bounces()
        held = self.queued(count=2)
        until(lambda: self.all_are(held, "held"), "they are held")
        answer = self.session([("bob@bad.example", ["x@far.example"])], "bob@bad.example")
        self.assertIn("550", answer)
        until(lambda: self.daemon.json("status")["queue"]["messages"] == 2, "status tells of them")
        self.assertEqual(self.daemon.json("check", "bad.example")["verdict"], "reject")
        self.assertEqual(self.daemon.json("why", "bad.example")["answers"],
                         {"submission": "reject", "local": "reject", "queued": "hold", "relay": "reject",
                          "hold_limit_reached": True})
        self.assertIn("(hold_limit)", self.daemon.ctl("why", "bad.example", "--all")[1])

    def test_the_limit_holds_between_two_looks(self):
        self.start(limit=3)
        self.block()
        # One session each: Exim hangs up on a client that goes on after a refusal.
        answer = "".join(self.session([("bob@bad.example", [f"x{i}@far.example"])], "bob@bad.example")
                         for i in range(8))
        self.assertEqual((answer.count("250 OK id="), answer.count("550-Mail of bad.example")), (3, 5), answer)
        until(lambda: self.daemon.json("status")["queue"]["messages"] == 3, "three are held")
        answer = self.session([("bob@bad.example", ["x@far.example"])], "bob@bad.example")
        self.assertIn("550", answer)

    def test_a_message_that_exim_is_at_work_on_is_not_called_held_or_let_go(self):
        self.start()
        busy, idle = self.queued(count=2)
        lock = self.lock(f"input/{busy}")
        self.block()
        until(lambda: self.all_are([idle], "held"), "the other is held")
        trouble = until(lambda: self.daemon.json("status")["queue"]["not_done"], "status tells")[0]
        self.assertEqual((trouble["id"], trouble["order"], trouble["why"]),
                         (busy, "hold", f"Message {busy} is locked"))
        self.assertIn("NOT DONE by the mail server for 1", self.daemon.ctl("status")[1])
        self.assertRegex(self.daemon.http("/metrics")[1], r"(?m)^deferd_queue_orders_failed_total [1-9]")
        self.assertNotIn("held by deferd: its sender is blocked", self.life(busy))
        lock.close()
        until(lambda: self.all_are([busy, idle], "held"), "it is held later")
        until(lambda: self.daemon.json("status")["queue"]["not_done"] == [], "and nothing is told")
        lock = self.lock(f"deferd-held/input/{idle}")
        status, out, err = self.daemon.ctl("queue", "release", "bad.example")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("1 messages released; 1 not yet, deferd tries again: " + idle, err)
        until(lambda: len(self.accepted()) == 1, "the one goes")
        self.assertEqual(self.states(), {idle: "held"})
        lock.close()
        until(lambda: len(self.accepted()) == 2, "the other goes later")

    def test_unblock_tells_what_is_held_and_takes_an_order(self):
        self.start()
        self.blocked_by_its_bounces()  # by unknown recipients
        held = self.queued(count=7)
        until(lambda: self.all_are(held, "held"), "they are held")
        self.assertEqual(self.daemon.ctl("unblock", "bad.example", "--release", "--keep")[0], 2)
        status, out, err = self.daemon.ctl("--json", "unblock", "bad.example")
        self.assertEqual(status, 0, err)
        told = json.loads(out)
        self.assertEqual((told["subject"], told["state"]), ("bad.example", "closed"))
        self.assertEqual((told["held"]["messages"], len(told["held"]["sample"]), told["held"]["order"],
                          told["held"]["stays_for"]),
                         (7, 5, "", "most remote replies were of class invalid_recipient"))
        self.assertEqual({one["sender"] for one in told["held"]["sample"]}, {"bob@bad.example"})
        until(lambda: [one["waits_for"] for one in self.daemon.json("status")["queue"]["held"]]
              == ["most remote replies were of class invalid_recipient"], "a person decides")
        self.block()
        out = self.unblock("--keep")
        self.assertIn("held: 7 messages, such as", out)
        self.assertIn("IT STAYS HELD: root keeps it", out)
        until(lambda: [one["waits_for"] for one in self.daemon.json("status")["queue"]["held"]]
              == ["root keeps it on hold"], "status says who")
        self.assertTrue(self.all_are(held, "held"))
        self.block()
        self.assertIn("all of it goes now", self.unblock("--release"))
        until(lambda: len(self.accepted()) == 7 + self.last, "all of it goes")
        self.block()
        self.assertIn("nothing of it is held", self.unblock())

    def test_what_is_held_for_too_long_goes_back_to_our_senders_alone(self):
        self.start(longest="1m")
        ours = self.queued()
        before = set(self.states())
        self.session([("eve@victim.example", ["joe@far.example"])], "bob@bad.example")
        strangers = until(lambda: set(self.states()) - before, "it is listed")
        self.block()
        until(lambda: self.all_are([*ours, *strangers], "held"), "both are held")
        until(lambda: ("", "bob@bad.example") in self.sink.accepted, "ours is told", limit=150)
        until(lambda: self.daemon.json("status")["queue"]["overdue"] == 1, "the other is an alarm")
        self.assertEqual(self.states(), {one: "held" for one in strangers})
        self.assertIn("OVERDUE: 1", self.daemon.ctl("status")[1])
        self.assertIn("\ndeferd_held_overdue_messages 1\n", self.daemon.http("/metrics")[1])
        self.assertIn("backscatter", self.daemon.ctl("doctor")[1])
        self.assertNotIn("eve@victim.example", [to for _, to in self.sink.accepted])

    def test_a_persons_block_does_what_the_policy_says(self):
        self.start(submission="reject")
        self.block()
        for source, verdict, ending in (("submission", "reject", r"Message rejected, try again after \d\d:\d\d UTC\."),
                                        ("queued", "hold", r"Message held until \d{4}-\d\d-\d\d \d\d:\d\d UTC\.")):
            answer = self.daemon.json("check", "bad.example", "--source", source)
            self.assertEqual(answer["verdict"], verdict)
            self.assertRegex(answer["text"], f"^Mail of bad.example was stopped by the administrator. {ending}$")

    def test_what_a_script_sends_is_queued_and_then_held(self):
        self.start()
        self.block()
        self.assertEqual(self.submit("web", "web@bad.example", "ann@far.example"), 0)
        self.assertEqual(self.submit("other", "other@good.example", "ann@far.example"), 0)
        until(lambda: sorted(self.states().values()) == ["held", "queued"], "one is held")
        self.exim("-q")
        self.assertEqual(self.accepted(), ["other@good.example"])
        held, = self.daemon.json("queue", "bad.example")
        self.assertEqual((held["user"], held["state"]), ("web", "held"))
        self.unblock()
        until(lambda: "web@bad.example" in self.accepted(), "it leaves after the block")

    def test_what_went_wrong_before_is_not_let_go_of_without_a_person(self):
        self.start()
        self.blocked_by_its_bounces()  # by unknown recipients
        held = self.queued(count=2)
        until(lambda: self.all_are(held, "held"), "they are held")
        status, out, err = self.daemon.ctl("queue", "release", "bad.example", "--dry-run", "--json")
        self.assertEqual(status, 0, err)
        released = json.loads(out)
        self.assertEqual(sorted(one["id"] for one in released["messages"]), held)
        self.assertTrue(self.all_are(held, "held"), "a dry run does nothing")
        self.assertEqual(self.daemon.ctl("queue", "release", "bad.example")[1], "2 messages released\n")
        until(lambda: len(self.accepted()) == 2 + self.last, "a person lets them go though it is blocked")
        self.assertEqual(self.daemon.json("blocks")[0]["state"], "blocked")

    def test_a_portion_that_goes_wrong_stops_the_rest(self):
        self.start()
        held = self.queued(count=25, to="nouser")
        self.block()
        until(lambda: self.all_are(held, "held"), "all are held")
        self.unblock()
        waits = lambda: [one["waits_for"] for one in self.daemon.json("status")["queue"]["held"]]
        until(lambda: any(waits()), "it stops")
        self.assertEqual(waits(), ["10 of 10 deliveries of released messages failed or were deferred"])
        self.assertEqual(len([state for state in self.states().values() if state == "held"]), 15)

    def test_a_killed_deferd_finds_what_it_holds(self):
        self.start()
        mine = self.queued(count=2)
        self.block()
        until(lambda: self.all_are(mine, "held"), "it is held")
        self.daemon.process.kill()
        self.daemon.stop()
        self.daemon.start()
        until(lambda: self.daemon.json("status")["queue"]["messages"] == 2, "it is found again")
        self.exim("-q")
        self.assertEqual(self.accepted(), [])
        self.unblock()
        until(lambda: len(self.accepted()) == 2, "it is let go of")

    def test_innocent_mail_to_the_same_recipient_goes_out(self):
        self.start()
        mine = self.queued()
        self.block()
        until(lambda: self.all_are(mine, "held"), "it is held")
        self.queued("eve@good.example")  # to the same ann0
        self.exim("-q")
        self.assertEqual(self.accepted(), ["eve@good.example"])
        self.assertNotIn("retry time not reached", self.log())

    def test_the_queue_is_shown_by_whose_it_is(self):
        self.start()
        self.queued(count=2)
        theirs, = self.queued("eve@good.example")
        self.assertEqual([(one["name"], one["messages"], one["held"]) for one in
                          self.daemon.json("queue", "--by", "login")],
                         [("bob@bad.example", 2, 0), ("eve@good.example", 1, 0)])
        self.assertEqual([one["name"] for one in self.daemon.json("queue", "bad.example", "--by", "to")],
                         ["ann0@far.example", "ann1@far.example"])
        self.assertEqual([one["id"] for one in self.daemon.json("queue", "--sender", "EVE@good.example")],
                         [theirs])
        self.assertEqual(self.daemon.json("queue", "--since", "2031-01-01"), [])
        self.assertEqual(self.daemon.json("queue", "nobody.example"), [])
        status, out, _ = self.daemon.ctl("queue", "good.example")
        self.assertEqual(status, 0)
        self.assertRegex(out, rf"(?m)^{theirs}  queued +\d+s +eve@good.example +ann0@far.example$")
        self.assertRegex(self.daemon.ctl("queue")[1], rf"(?m)^{theirs}  queued +\d+s +good.example +eve@")
        self.assertEqual(self.daemon.ctl("queue", "--by", "colour")[0], 1)
        self.assertIn("no longer in the queue", self.daemon.ctl("queue", "requeue", "1xU000-000001-11")[2])
        self.assertEqual(self.daemon.ctl("queue", "flush")[0], 0)
        until(lambda: sorted(self.accepted()) ==
              ["bob@bad.example", "bob@bad.example", "eve@good.example"], "all of it is tried")

    def test_what_is_given_back_is_no_failure(self):
        self.start()
        mine, = self.queued()
        self.block()
        until(lambda: self.all_are([mine], "held"), "it is held")
        self.assertTrue(self.helper.ask("give_back", ids=[mine])["ok"])
        self.exim("-q")
        until(lambda: ("", "bob@bad.example") in self.sink.accepted, "its sender is told")
        self.assertEqual(self.states(), {})
        self.assertEqual(self.window("bad.example"), (0, 0, 0))

    def test_the_helper_takes_nothing_but_ids(self):
        self.start()
        for ids in ([], ["-Mrm"], ["1xU000-000001-11", "all"], ["1xU000-000001-11 x"], [7], ["ALL"] * 2000):
            answer = self.helper.ask("hold", ids=ids)
            self.assertFalse(answer["ok"], ids)
        for address in ("-x@alt.example", "a b@alt.example", "a@-alt.example", "a\n@alt.example", "a", ""):
            answer = self.helper.ask("redirect", id="1xU000-000001-11", address=address)
            self.assertFalse(answer["ok"], address)
        self.assertFalse(self.helper.ask("rm", ids=["1xU000-000001-11"])["ok"])
        self.assertEqual(self.helper.ask("list")["result"], [])

    def test_discarding_and_redirecting_are_roots_and_switched_off(self):
        self.start()
        mine = self.queued(count=3)
        status, _, err = self.daemon.ctl("queue", "discard", "bad.example", "--helper", self.helper.socket)
        self.assertEqual(status, 1)
        self.assertIn("disabled", err)
        self.helper.stop()
        self.helper.start("--allow-discard", "--allow-redirect")
        status, out, err = self.daemon.ctl("queue", "redirect", mine[0], "else@alt.example", "--helper",
                                           self.helper.socket)
        self.assertEqual(status, 0, err)
        until(lambda: [to for _, to in self.sink.accepted] == ["else@alt.example"], "it went elsewhere")
        until(lambda: mine[0] not in self.states(), "deferd has read of it")
        status, out, err = self.daemon.ctl("queue", "discard", "bad.example", "--helper",
                                           self.helper.socket)
        self.assertEqual((status, out), (0, "2 messages discarded\n"), err)
        until(lambda: self.states() == {}, "they are gone")
        self.assertEqual(len(self.sink.accepted), 1)
        until(lambda: "discarded by root" in
              [row["reply"] for row in self.daemon.json("track", mine[1])], "it is recorded")

    def test_redirected_to_one_of_its_own_recipients_it_still_goes_there(self):
        self.start("--allow-redirect")
        before = set(self.states())
        self.session([("bob@bad.example", ["ann@far.example", "joe@far.example"])], "bob@bad.example")
        until(lambda: set(self.states()) - before, "it is listed")
        one, = self.states()
        status, _, err = self.daemon.ctl("queue", "redirect", one, "Joe@far.example", "--helper",
                                         self.helper.socket)
        self.assertEqual(status, 0, err)
        until(lambda: self.states() == {}, "it is done")
        self.assertEqual([to for _, to in self.sink.accepted], ["joe@far.example"])

    def test_without_the_helper_mail_flows_and_the_verb_says_why(self):
        self.start()
        self.helper.stop()
        status, _, err = self.daemon.ctl("queue")
        self.assertEqual(status, 1)
        self.assertIn("deferd-queue does not answer", err)
        self.assertIn("250 OK id=", self.send("eve@good.example", "ann@far.example", "eve@good.example"))
        self.assertEqual(self.accepted(), ["eve@good.example"])


if __name__ == "__main__":
    main(unittest)
