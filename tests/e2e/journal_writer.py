"""A journal of a test's own, written by systemd-journal-remote: no systemd needed."""

import os
import shutil
import struct
import subprocess
import time

REMOTE = os.environ.get("DEFERD_JOURNAL_REMOTE") or shutil.which(
    "systemd-journal-remote", path="/lib/systemd:/usr/lib/systemd")
BOOT = "0123456789abcdef0123456789abcdef"


def entry(identifier, message, when=None, uid=0):
    """One entry in the Journal Export Format. `when`: seconds since 1970, now without it."""
    micros = int((time.time() if when is None else when) * 1e6)
    text = message.encode(errors="surrogateescape")
    head = (f"__REALTIME_TIMESTAMP={micros}\n__MONOTONIC_TIMESTAMP={micros}\n_BOOT_ID={BOOT}\n"
            f"_SOURCE_REALTIME_TIMESTAMP={micros}\nSYSLOG_FACILITY=2\n"
            f"SYSLOG_IDENTIFIER={identifier}\n_UID={uid}\nMESSAGE\n")
    return head.encode() + struct.pack("<Q", len(text)) + text + b"\n\n"


def write(path, entries):
    """Appends entries to the journal file `path`, which is made if it is not there."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    done = subprocess.run([REMOTE, "-o", path, "-"], input=b"".join(entries), capture_output=True,
                          check=False)
    assert done.returncode == 0, done.stderr
