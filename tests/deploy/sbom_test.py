#!/usr/bin/env python3
"""deploy/sbom.py: every library that the loader maps is in the bill, by package and version.

  tests/deploy/sbom_test.py PROGRAM...
"""

import json
import os
import subprocess
import sys

SBOM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/sbom.py")


def bill(*programs, check=True):
    return subprocess.run([sys.executable, SBOM, *programs], capture_output=True, text=True, check=check,
                          env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})


def main(programs):
    text = bill(*programs).stdout
    assert text == bill(*programs).stdout, "the same programs give the same bill"
    sbom = json.loads(text)
    assert sbom["spdxVersion"] == "SPDX-2.3" and sbom["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    ids = [package["SPDXID"] for package in sbom["packages"]]
    assert len(ids) == len(set(ids)), "an id stands for one package"
    names = {package["name"]: package["versionInfo"] for package in sbom["packages"]}
    for program in programs:
        assert os.path.basename(program) in names, program
    for one in sbom["relationships"]:
        assert one["relatedSpdxElement"] in ids, one
    # The loader's own list, by another way than the script's.
    paths = []
    for line in subprocess.run(["ldd", programs[0]], capture_output=True, text=True, check=True).stdout.splitlines():
        path = next((word for word in line.split() if word.startswith("/")), None)
        if path is not None:
            path = os.path.realpath(path)
            paths += [path, path.removeprefix("/usr")]
    owned = subprocess.run(["dpkg", "-S", *paths], capture_output=True, text=True, check=False).stdout.splitlines()
    assert len(owned) > 10, owned
    for line in owned:
        assert names.get(line.split(":")[0], "unknown") != "unknown", f"{line} is not in the bill"
    for bad in ((), ("/nonexistent",), (SBOM,)):
        assert bill(*bad, check=False).returncode != 0, bad
    print(f"sbom: {len(ids)} packages: passed")


main(sys.argv[1:])
