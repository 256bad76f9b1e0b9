"""deploy/quickstart.sh, the way a newcomer meets deferd, with the programs already built."""

import os
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


if __name__ == "__main__":
    unittest.main()
