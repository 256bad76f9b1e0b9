"""kill -9 at any moment while a log is written and rotated, in each way that logs are rotated.

In the end all counts equal what was written, counted apart from deferd, or a gap is declared; never
is a line counted twice. Rotation is done here, not by logrotate, so that it falls between any two
lines and numbers may run either way.
"""

import gzip
import os
import random
import shutil
import time
import unittest
from collections import Counter

from deferd_process import DeferdTest, message

KILLS = 25
DOMAINS = [f"d{n}.example" for n in range(4)]
ENOUGH = """
[rule.never]
min_bad = 100000
percent = 100
"""


def rotated(folder, suffix=""):
    """The numbers of mainlog.N and mainlog.N.gz, greatest first."""
    numbers = []
    for name in os.listdir(folder):
        if name.startswith("mainlog.") and name.endswith(suffix):
            numbers.append((int(name.split(".")[1]), name))
    return [name for _, name in sorted(numbers, reverse=True)]


class Scheme:
    """Rotates the log of a folder once: the newest is .1, and all others move on."""

    may_lose = False  # a gap may be declared

    def __init__(self, folder):
        self.folder = folder
        self.log = self.path("mainlog")
        self.done = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def rotate(self):
        self.done += 1
        self.move()

    def shift(self):
        for name in rotated(self.folder):
            first, number, *rest = name.split(".")
            os.rename(self.path(name),
                      self.path(".".join([first, str(int(number) + 1), *rest])))

    def new(self):
        with open(self.log, "x", encoding="utf-8"):
            pass

    def pack(self, name):
        with open(self.path(name), "rb") as plain:
            with gzip.open(self.path(name + ".gz.tmp"), "wb") as packed:
                shutil.copyfileobj(plain, packed)
        os.rename(self.path(name + ".gz.tmp"), self.path(name + ".gz"))
        os.unlink(self.path(name))

    def move(self):
        self.shift()
        os.rename(self.log, self.path("mainlog.1"))
        self.new()


class NumbersUp(Scheme):
    """The newest has the greatest number."""

    def move(self):
        os.rename(self.log, self.path(f"mainlog.{self.done}"))
        self.new()


class Dates(Scheme):
    def move(self):
        day = time.strftime("%Y%m%d")
        os.rename(self.log, self.path(f"mainlog-{day}-{1_700_000_000 + self.done}"))
        self.new()


class CopyTruncate(Scheme):
    # What was not read when it was copied and cut is in the copy alone.
    may_lose = True

    def move(self):
        self.shift()
        shutil.copyfile(self.log, self.path("mainlog.1"))
        os.truncate(self.log, 0)


class Packed(Scheme):
    def move(self):
        super().move()
        self.pack("mainlog.1")


class PackedLater(Scheme):
    def move(self):
        super().move()
        if os.path.exists(self.path("mainlog.2")):
            self.pack("mainlog.2")


class OldDir(Scheme):
    may_lose = True  # the folder is not looked into

    def move(self):
        os.makedirs(self.path("old"), exist_ok=True)
        os.rename(self.log, self.path(f"old/mainlog.{self.done}"))
        self.new()


class Rotation(DeferdTest):
    def test_numbers_down(self):
        self.kills(Scheme, 1)

    def test_numbers_up(self):
        self.kills(NumbersUp, 2)

    def test_dates(self):
        self.kills(Dates, 3)

    def test_copytruncate(self):
        self.kills(CopyTruncate, 4)

    def test_packed(self):
        self.kills(Packed, 5)

    def test_packed_a_rotation_later(self):
        self.kills(PackedLater, 6)

    def test_olddir(self):
        self.kills(OldDir, 7)

    def kills(self, make, seed):
        rng = random.Random(seed)
        daemon = self.deferd(policy=ENOUGH)
        daemon.wait_log("answers are checked")
        scheme = make(daemon.folder)
        truth = Counter()

        def write():
            for _ in range(rng.randrange(1, 8)):
                outcome = rng.choice(["delivered", "deferred", "failed"])
                domain = rng.choice(DOMAINS)
                truth[domain, outcome] += 1
                daemon.append(message(outcome, login=f"u@{domain}"))

        write()
        self.reached(daemon, "first.example")  # what a first start finds is another matter
        kills = 0
        while kills < KILLS:
            step = rng.random()
            if step < 0.5:
                write()
            elif step < 0.7:
                scheme.rotate()
            else:
                daemon.process.kill()
                daemon.stop()
                for _ in range(rng.randrange(4)):
                    write()
                    if rng.random() < 0.4:
                        scheme.rotate()
                daemon.start()
                kills += 1
        self.assertGreater(scheme.done, 10)
        self.reached(daemon, "last.example")
        source, = daemon.json("status")["sources"]
        counted = {(one["subject"], outcome): one[outcome]
                   for one in daemon.json("top", "--limit", "0") for outcome in
                   ("delivered", "deferred", "failed")}
        for (domain, outcome), number in truth.items():
            count = counted.get((domain, outcome), 0)
            where = f"{domain} {outcome}, {source['gaps']} gaps"
            if source["gaps"] == 0:
                self.assertEqual(count, number, where)
            else:
                self.assertLessEqual(count, number, where)
        if not scheme.may_lose:
            self.assertEqual(source["gaps"], 0)

    def reached(self, daemon, marker):
        """Waits until all that was written is counted: a log is read in its order."""
        daemon.append(message("delivered", login=f"u@{marker}"))
        for _ in range(2000):
            if any(one["subject"] == marker for one in daemon.json("top", "--limit", "0")):
                return
        raise AssertionError(f"{marker} was never read")


if __name__ == "__main__":
    unittest.main()
