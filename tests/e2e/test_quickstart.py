"""deploy/quickstart.sh, the way a newcomer meets deferd, with the programs already built."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest

from deferd_process import BIN, LIMIT, SOURCE

QUICKSTART = os.path.join(SOURCE, "deploy/quickstart.sh")
BUILD = os.path.dirname(os.path.dirname(BIN))


class Quickstart(unittest.TestCase):
    def test_the_show_ends_well_and_leaves_nothing(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, folder)
        done = subprocess.run([QUICKSTART, "--once", "--demo", "--build", BUILD],
                              capture_output=True, text=True, timeout=5 * LIMIT, check=False,
                              env={**os.environ, "TMPDIR": folder})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for shown in ("BLOCKED by rule", "< reject Account garden has exceeded",
                      "< hold Account garden", "< pass", "deferd_cases_open",
                      "unblocked"):
            self.assertIn(shown, done.stdout)
        self.assertEqual(os.listdir(folder), [])

    def test_ctrl_c_ends_it(self):
        show = subprocess.Popen([QUICKSTART, "--demo", "--build", BUILD], stdout=subprocess.PIPE,
                                text=True, start_new_session=True)
        for line in show.stdout:
            if "Ctrl-C ends it" in line:
                break
        os.killpg(show.pid, signal.SIGINT)
        self.assertEqual(show.wait(LIMIT), 0)
        show.stdout.close()

    def removal(self, needed_by=""):
        """--remove with packages a and b to its name, and b gone: (its end, the folder, apt's purges)."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        build = os.path.join(folder, "build")
        os.makedirs(os.path.join(build, "limiter"))
        with open(build + ".brought", "w", encoding="ascii") as record:
            record.write("pack-a\n# build folder\npack-b\n")
        programs = os.path.join(folder, "bin")
        os.mkdir(programs)
        for name, text in {"dpkg-query": 'case "$*" in *pack-a*) echo installed ;; *) exit 1 ;; esac',
                           "apt-get": f'case "$*" in -s*) printf "Purg pack-a [1]\\n{needed_by}" ;; '
                                      f'*) echo "$*" >>{folder}/purged ;; esac',
                           "sudo": '"$@"'}.items():
            with open(os.path.join(programs, name), "w", encoding="ascii") as file:
                file.write("#!/bin/sh\n" + text + "\n")
            os.chmod(os.path.join(programs, name), 0o755)
        done = subprocess.run([QUICKSTART, "--remove", "--build", build], capture_output=True, text=True,
                              timeout=LIMIT, check=False,
                              env={**os.environ, "PATH": programs + ":" + os.environ["PATH"]})
        purged = ""
        if os.path.exists(folder + "/purged"):
            with open(folder + "/purged", encoding="ascii") as file:
                purged = file.read()
        return done, folder, purged

    def test_remove_takes_away_what_it_brought(self):
        done, folder, purged = self.removal()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(purged, "purge -y -q pack-a\n")
        self.assertEqual(sorted(os.listdir(folder)), ["bin", "purged"])

    def test_remove_leaves_what_others_need(self):
        done, folder, purged = self.removal(needed_by="Remv theirs [1]\\n")
        self.assertEqual(done.returncode, 1)
        self.assertIn("theirs", done.stderr)
        self.assertEqual(purged, "")
        self.assertEqual(sorted(os.listdir(folder)), ["bin", "build", "build.brought"])

    def test_remove_without_a_record_does_nothing(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        build = os.path.join(folder, "build")
        os.mkdir(build)
        done = subprocess.run([QUICKSTART, "--remove", "--build", build], capture_output=True, text=True,
                              timeout=LIMIT, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(os.path.isdir(build))


if __name__ == "__main__":
    unittest.main()
