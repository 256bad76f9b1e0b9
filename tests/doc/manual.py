"""Holds the manual against the code: references, links, names. With --write it writes the references.

A reference stands in a page between "<!-- generated: NAME -->" and "<!-- end -->".
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOC = ROOT / "deploy" / "doc"
PAGES = [ROOT / "README.md", *sorted(DOC.glob("*.md"))]
README_LINES = 119


def run(*command):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("DEFERD_")}
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE,
                          env=environment).stdout


def subcommands(help_text):
    """The verbs of a help text, with what it says of each."""
    _, _, listed = help_text.partition("\nSubcommands:\n")
    verbs = []
    for line in listed.splitlines():
        if match := re.match(r"  (\S+)\s+(\S.*)$", line):
            verbs.append([match[1], match[2]])
        elif match := re.match(r"\s{10,}(\S.*)$", line):
            verbs[-1][1] += " " + match[1]
        else:
            break
    return verbs


class Verbs:
    """All verbs of deferctl, from its help."""

    def __init__(self, deferctl):
        self.help = {}  # "queue release" -> (what the list says of it, its own help)
        self._add(deferctl, [])

    def _add(self, deferctl, words):
        for verb, text in subcommands(run(deferctl, *words, "--help")):
            path = [*words, verb]
            self.help[" ".join(path)] = (text, run(deferctl, *path, "--help"))
            self._add(deferctl, path)

    def markdown(self):
        lines = ["| verb | what it does |", "|---|---|"]
        lines += [f"| `{name}` | {text} |" for name, (text, _) in self.help.items()]
        for name, (_, text) in self.help.items():
            own = [line.rstrip() for line in text.strip().splitlines()]
            lines += ["", f"### deferctl {name}", "", "```", *own, "```"]
        return "\n".join(lines) + "\n"


def anchors(page):
    """The anchors of a page's headings, as Git hosts make them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.M):
        text = re.sub(r"[^\w\- ]", "", heading.lower().replace("`", ""))
        found.add(text.replace(" ", "-"))
    return found


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def bad_links(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            yield f"link to {target}: there is no such file"
        elif anchor and anchor not in anchors(file):
            yield f"link to {target}: there is no such heading"


def bad_paths(page):
    """Files of the tree that a page names, and that have moved."""
    for path in re.findall(r"`((?:policy|limiter|exporter|tests|deploy)/[\w./-]*)", page.read_text()):
        if not (ROOT / path.rstrip(".")).exists():
            yield f"{path}: there is no such file or folder"


def bad_code_names(page):
    """Of the architecture page: short file names, and functions written Class::Function."""
    headers = "\n".join(file.read_text() for room in ("policy", "limiter", "exporter")
                        for file in sorted((ROOT / room).rglob("*.h")))
    for line in page.read_text().splitlines():
        folder = None
        for name in re.findall(r"`([^`]+)`", line):
            if "/" in name:
                path = ROOT / name
                folder = path if name.endswith("/") else path.parent
            elif re.fullmatch(r"\w+\.(?:cc|h|txt|lua|yml)", name) and folder and not (folder / name).exists():
                yield f"{name}: there is no such file in {folder.relative_to(ROOT)}"
            elif (match := re.fullmatch(r"(\w+)::(\w+)", name)) and not (
                    re.search(rf"\b(?:class|struct) {match[1]}\b[^;]*{{", headers)
                    and re.search(rf"\b{match[2]}\(", headers)):
                yield f"{name}: there is no such function"


def bad_names(page, verbs, metrics):
    text = re.sub(r"<!-- generated: .*?<!-- end -->", "", page.read_text(), flags=re.S)
    heads = {name.split()[0] for name in verbs.help}
    nested = {name.split()[0] for name in verbs.help if " " in name}
    code = re.findall(r"^```.*?^```|`[^`\n]+`", text, re.M | re.S)
    for part in code:
        for verb, word in re.findall(r"\bdeferctl ([a-z]+)(?: ([a-z]+(?:-[a-z]+)*)\b(?![.@/]))?", part):
            if verb not in heads:
                yield f"deferctl {verb}: there is no such verb"
            elif verb in nested and verb != "queue" and word and f"{verb} {word}" not in verbs.help:
                yield f"deferctl {verb} {word}: there is no such verb"
    suffixes = ("_bucket", "_sum", "_count")
    for name in re.findall(r"\bdeferd_[a-z_]+[a-z]\b", text):
        if name.endswith(("_test", "_library", "_program", "_sim")):
            continue
        base = next((name[: -len(end)] for end in suffixes if name.endswith(end)), name)
        if not {name, base} & metrics:
            yield f"{name}: there is no such metric"


# The readers' calls that name a key, with the local variable that holds the table.
READS = re.compile(r'\b(?:(\w+(?=->)|tables(?=\[))\S*?->(?:String|Strings|Integer|Number|Bool|Duration|Has)\('
                   r'\s*"(\w+)"'
                   r'|Read(?:Word(?:<[^(]*>)?|Address(?:es)?)\((\w+), "(\w+)")')


def keys_read(source, prefix_of):
    """The keys that a reader of TOML reads, as the reference writes them.

    prefix_of names, by function, the table that the function reads ("" is the root).
    """
    found = set()
    function = ""
    for line in source.splitlines():
        if match := re.match(r"  \S.*?\b(\w+)\([^;]*$", line):
            function = match[1]
        for match in READS.finditer(line):
            variable, key = match[1] or match[3], match[2] or match[4]
            if variable == "root":
                found.add(key)
                continue
            for prefix in prefix_of(function, variable):
                found.add(f"{prefix} {key}")
    return found


def config_prefix(function, _):
    if function == "ReadPermissions":
        return ["[hook]", "[admin]", "[api]"]
    if function == "ReadJournal":
        return ["[intake]"]
    return [f"[{function.removeprefix('Read').lower()}]"]


def policy_prefix(function, variable):
    if variable == "replies":
        return ["[replies]"]
    if function == "ReadReplyRule":
        return ["[reply.NAME]"]
    if function == "ReadExempt":
        return ["[exempt.NAME]"]
    if function in ("ReadCounting", "ReadClasses"):
        return []
    return ["[rule.NAME]"]


def name_keys():
    """The keys that say whom a table is for, which one reader reads for all of them."""
    source = (ROOT / "policy/names_reader.cc").read_text()
    tables = {"domains": ["[exempt]", "[exempt.NAME]", "[rule.NAME]", "[tag.NAME]"],
              "tags": ["[exempt.NAME]", "[rule.NAME]"]}
    return {f"{table} {key}"
            for key in re.findall(r'(?:Entries\(table, |->Strings\()"(\w+)"', source)
            for table in tables.get(key, ["[exempt.NAME]", "[rule.NAME]", "[tag.NAME]"])}


def keys_of_readers():
    """The keys of the tables that have a reader of their own."""
    keys = set()
    for name, table in (("notice", "[notice.NAME]"), ("shared", "[shared]")):
        source = (ROOT / f"limiter/config/{name}_config.cc").read_text()
        keys |= {f"{table} {key}"
                 for key in re.findall(r'(?:table_->\w+|ReadSecret|ReadPath)\("(\w+)"', source)}
    return keys


def bad_keys(page, source, prefix_of, besides):
    read = keys_read((ROOT / source).read_text(), prefix_of) | besides
    rows = set(re.findall(r"^\| `((?:\[[\w.]+\] )?\w+)` \|", page.read_text(), re.M))
    for key in sorted(read - rows):
        yield f"{key} is read by {source}, but has no row"
    for key in sorted(rows - read):
        yield f"{key} has a row, but {source} does not read it"


def generated(page, name, text, write):
    old = page.read_text()
    pattern = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.S)
    new, found = pattern.subn(lambda match: match[1] + text + match[2], old)
    if found != 1:
        yield f'"<!-- generated: {name} -->" stands there {found} times, not once'
    elif write:
        page.write_text(new)
    elif new != old:
        yield f"{name} differs from the code; write it with: cmake --build build --target manual"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", required=True, help="the program manual_reference")
    parser.add_argument("--deferctl", required=True)
    parser.add_argument("--write", action="store_true", help="write the references")
    args = parser.parse_args()

    verbs = Verbs(args.deferctl)
    metrics_table = run(args.reference, "metrics")
    metrics = set(re.findall(r"^\| `(deferd_\w+)", metrics_table, re.M))
    mistakes = []

    def note(page, found):
        mistakes.extend(f"{page.relative_to(ROOT)}: {mistake}" for mistake in found)

    references = {name: run(args.reference, name)
                  for name in ("configuration", "policy", "reply-classes")}
    references |= {"metrics": metrics_table, "verbs": verbs.markdown()}
    for name, text in references.items():
        page = DOC / f"{name}.md"
        note(page, generated(page, name, text, args.write))
    note(DOC / "configuration.md",
         bad_keys(DOC / "configuration.md", "limiter/config/config.cc", config_prefix,
                  keys_of_readers()))
    note(DOC / "policy.md",
         bad_keys(DOC / "policy.md", "policy/policy_file.cc", policy_prefix,
                  name_keys() | {"[classes] CLASS", "[rule.NAME] action"}))
    for page in PAGES:
        note(page, bad_links(page))
        note(page, bad_paths(page))
        note(page, bad_names(page, verbs, metrics))
        if page.parent == DOC and page.name != "index.md" and f"({page.name})" not in (
                DOC / "index.md").read_text():
            note(page, ["is not in index.md"])
    note(DOC / "architecture.md", bad_code_names(DOC / "architecture.md"))
    lines = len(PAGES[0].read_text().splitlines())
    if lines > README_LINES:
        note(PAGES[0], [f"has {lines} lines; at most {README_LINES}"])
    print("\n".join(mistakes) or "the manual agrees with the code")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
