"""Adds up gcov's counts of a build folder: lines of policy/ and limiter/ that ran, by folder (coverage.sh)."""

import collections
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROOMS = ("policy", "limiter")
AT_ONCE = 20  # files of counts in one call of gcov


def counts_of(build):
    """How often each line ran, over all programs: {file: {line: times}}."""
    counts = collections.defaultdict(collections.Counter)
    files = sorted(str(file.resolve()) for file in pathlib.Path(build).rglob("*.gcda"))
    for i in range(0, len(files), AT_ONCE):
        done = subprocess.run(["gcov", "--json-format", "--stdout", *files[i:i + AT_ONCE]],
                              check=True, cwd=build, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for report in done.stdout.splitlines():
            read = json.loads(report)
            for one in read["files"]:
                path = (pathlib.Path(read["current_working_directory"]) / one["file"]).resolve()
                if not path.is_relative_to(ROOT) or path.relative_to(ROOT).parts[0] not in ROOMS:
                    continue
                for line in one["lines"]:
                    counts[path.relative_to(ROOT)][line["line_number"]] += line["count"]
    return counts


def main():
    counts = counts_of(sys.argv[1])
    folders = collections.defaultdict(lambda: [0, 0])
    for file, lines in counts.items():
        for name in {str(file.parent), file.parts[0], "all"}:
            folders[name][0] += sum(1 for times in lines.values() if times)
            folders[name][1] += len(lines)
    if not folders:
        sys.exit("no counts: build with --coverage and run the tests first")
    print(f"{'folder':<24} {'lines':>7} {'ran':>7}")
    for name, (ran, lines) in sorted(folders.items(), key=lambda one: (one[0] == "all", one[0])):
        print(f"{name:<24} {lines:>7} {100 * ran / lines:>6.1f}%")


if __name__ == "__main__":
    main()
