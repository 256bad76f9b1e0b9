#!/usr/bin/env python3
"""Writes a software bill of materials (SPDX 2.3, JSON) of built programs to standard output.

  deploy/sbom.py build/limiter/app/deferd ... >sbom.json

For each program: its hash, the shared libraries that the loader finds for it (ldd), and the Debian
package and version of each (dpkg-query). SOURCE_DATE_EPOCH sets the date, as for reproducible builds.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time


def output(*command):
    """Of a program; "" if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, "LC_ALL": "C"})
    return done.stdout if done.returncode == 0 else ""


def libraries(program):
    """Paths of the shared libraries, resolved."""
    listing = output("ldd", program)
    if "not found" in listing:
        raise SystemExit(f"sbom: {program}: a library is missing:\n{listing}")
    found = re.findall(r"(?:=> )?(/\S+) \(0x", listing)
    if not found:
        raise SystemExit(f"sbom: {program}: not a dynamically linked program")
    return sorted({os.path.realpath(path) for path in found})


def packages_of(paths):
    """By path: (package, version, source package, architecture), where a package has it. dpkg reads
    its lists of files once for all."""
    # On a merged /usr, dpkg may know the file under its old name.
    names = [name for path in paths for name in (path, path.removeprefix("/usr"))]
    found = subprocess.run(["dpkg-query", "--search", *names], capture_output=True, text=True, check=False,
                           env={**os.environ, "LC_ALL": "C"}).stdout
    owners = {}
    for line in found.splitlines():
        owner, _, name = line.partition(": ")
        owners[name] = owner.split(",")[0]
    known = {}
    shown = output("dpkg-query", "--show", "--showformat",
                   "${binary:Package}\\t${Package}\\t${Version}\\t${source:Package}\\t${Architecture}\\n",
                   *sorted(set(owners.values())))
    for line in shown.splitlines():
        package, *rest = line.split("\t")
        known[package] = known[package.partition(":")[0]] = tuple(rest)
    by_path = {}
    for path in paths:
        owner = owners.get(path) or owners.get(path.removeprefix("/usr"))
        if owner in known:
            by_path[path] = known[owner]
    return by_path


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def spdx_id(text):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", text)


def bill(programs):
    packages, relations, seen = [], [], {}
    loaded = {program: libraries(program) for program in programs}
    known = packages_of(sorted({path for paths in loaded.values() for path in paths}))
    for program in programs:
        name = os.path.basename(program)
        version = output(program, "--version").split()[-1:] or ["unknown"]
        ident = spdx_id(f"program-{name}")
        packages.append({"name": name, "SPDXID": ident, "versionInfo": version[0],
                         "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                         "primaryPackagePurpose": "APPLICATION",
                         "checksums": [{"algorithm": "SHA256", "checksumValue": sha256(program)}]})
        relations.append({"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                          "relatedSpdxElement": ident})
        for path in loaded[program]:
            found = known.get(path) or (os.path.basename(path), "unknown", "", "")
            library = seen.get(found)
            if library is None:
                library = seen[found] = spdx_id(f"package-{found[0]}")
                one = {"name": found[0], "SPDXID": library, "versionInfo": found[1],
                       "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                       "primaryPackagePurpose": "LIBRARY"}
                if found[2]:
                    one["sourceInfo"] = f"Debian source package {found[2]}"
                    one["externalRefs"] = [{
                        "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                        "referenceLocator": f"pkg:deb/debian/{found[0]}@{found[1]}?arch={found[3]}"}]
                packages.append(one)
            relation = {"spdxElementId": ident, "relationshipType": "DYNAMIC_LINK",
                        "relatedSpdxElement": library}
            if relation not in relations:
                relations.append(relation)
    made = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    whole = hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
            "name": "deferd", "documentNamespace": f"https://spdx.org/spdxdocs/deferd-{whole}",
            "creationInfo": {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", made),
                             "creators": ["Tool: deferd-sbom"]},
            "packages": packages, "relationships": relations}


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    for program in sys.argv[1:]:
        if not os.access(program, os.X_OK):
            print(f"sbom: {program}: no such program", file=sys.stderr)
            return 1
    json.dump(bill([os.path.abspath(program) for program in sys.argv[1:]]), sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
