#!/usr/bin/env python3
"""Makes the man pages out of the manual and the programs' own --help, with pandoc.

    deploy/man/make_man.py --programs DIR --output DIR [--version VERSION]

--programs is the folder of deferd, deferctl, deferd-queue and deferd-notify. A page is a list of parts: a section of
the manual (deploy/doc/PAGE.md, whole or one heading of it), or a program's options.
"""

import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOC = os.path.join(ROOT, "deploy/doc")

# name, section: one line on what it is; how it is called; parts.
PAGES = {
    "deferd.8": (
        "counts deferred and failed mail per sending domain, and answers the mail server",
        "**deferd** [**\\--config** *FILE*] [**\\--check**] [**\\--set-aside-damaged-state**]",
        [("DESCRIPTION", "../../README.md#Why"), ("OPTIONS", "help:deferd"),
         ("SIGNALS", "text:**SIGHUP** reads configuration and policy again. **SIGTERM** ends deferd; "
                     "it continues at the same place of each log when it is started again."),
         ("FILES", "text:`/etc/deferd/deferd.toml`, `/etc/deferd/policy.toml`, "
                   "`/var/lib/deferd/state.db`, `/run/deferd/exim.sock`, "
                   "`/var/spool/postfix/deferd/policy.sock`, `/run/deferd/admin.sock`"),
         ("OPERATION", "operating.md"), ("SECURITY", "security.md"), ("LIMITS", "limits.md")]),
    "deferctl.1": (
        "controls deferd and queries its state",
        "**deferctl** [**\\--json**] [**\\--utc**] [**\\--socket** *PATH* | **\\--url** *URL*] *VERB* [*ARGUMENT*...]",
        [("DESCRIPTION", "verbs.md"),
         ("EXIT STATUS", "text:0: done. 1: failed; the reason is on standard error. 2: wrong usage."),
         ("ENVIRONMENT", "text:`DEFERD_SOCKET` names deferd's admin socket "
                         "(`/run/deferd/admin.sock`). `DEFERD_URL`, `DEFERD_TOKEN_FILE` and `DEFERD_CA_FILE` stand "
                         "for `--url`, `--token-file` and `--ca-file`.")]),
    "deferd-notify.8": (
        "run a command for events of deferd",
        "**deferd-notify** [*OPTION*...] *COMMAND* [*ARGUMENT*...]",
        [("DESCRIPTION", "notices.md#Command"), ("OPTIONS", "help:deferd-notify"),
         ("FILES", "text:`/etc/default/deferd-notify` (`DEFERD_NOTIFY_COMMAND`), "
                   "`/run/deferd-notify/notify.sock`")]),
    "deferd-queue.8": (
        "holds and releases queued mail for deferd",
        "**deferd-queue** [*OPTION*...]",
        [("DESCRIPTION", "operating.md#Hold and release"), ("OPTIONS", "help:deferd-queue"),
         ("FILES", "text:`/etc/default/deferd-queue` (`DEFERD_QUEUE_OPTIONS`), "
                   "`/run/deferd-queue/queue.sock`, `/var/lib/deferd-queue/senders`")]),
    "deferd.toml.5": ("configuration of deferd", "`/etc/deferd/deferd.toml`",
                      [("DESCRIPTION", "configuration.md")]),
    "deferd-policy.5": ("what deferd counts, and when it blocks", "`/etc/deferd/policy.toml`",
                        [("DESCRIPTION", "policy.md")]),
}
SEE_ALSO = {"deferd": 8, "deferctl": 1, "deferd-queue": 8, "deferd-notify": 8, "deferd.toml": 5, "deferd-policy": 5}


def cells(line):
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def definitions(table):
    """A table as a list: a terminal is too narrow for one."""
    header, _, *rows = [cells(line) for line in table[0].strip().splitlines()]
    items = []
    for first, *rest in rows:
        named = [value if len(rest) == 1 else f"{name}: {value}"
                 for name, value in zip(header[1:], rest) if value]
        items.append(f"{first or named.pop(0)}\n:   " + ("; ".join(named) or "-") + "\n")
    return "\n".join(items) + "\n"


def section(place):
    """Markdown of a page of the manual, or of one heading of it, with its headings one level deeper."""
    name, _, heading = place.partition("#")
    with open(os.path.join(DOC, name), encoding="utf-8") as file:
        text = file.read()
    if heading:
        found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
        if not found:
            sys.exit(f"make_man.py: {name} has no heading '{heading}'")
        text = found[1]
    else:
        text = re.sub(r"\A# .*\n", "", text)
    text = re.sub(r"^<!--.*?-->\n?", "", text, flags=re.M)
    # Links lead to other files of the manual, which a man page cannot follow.
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    return re.sub(r"(?:^\|.*\n)+", definitions, text, flags=re.M)


def options(program):
    """The options of --help as a definition list."""
    out = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    lines = out[out.index("Options:"):].splitlines()[1:]
    items = []
    for line in lines:
        begun = re.match(r"  (-\S+(?: [A-Z]+\S*)?(?: \.\.\.)?)\s*(.*)", line)
        if begun:
            items.append([begun[1].rstrip(","), begun[2]])
        elif line.strip() and items:
            items[-1][1] += " " + line.strip()
    escape = lambda text: re.sub(r"([*_<>\\$`-])", r"\\\1", text)
    return "\n".join(f"**{escape(name)}**\n:   {escape(text.strip())}\n" for name, text in items)


def markdown(name, version, programs):
    what, synopsis, parts = PAGES[name]
    stem, _, number = name.rpartition(".")
    text = [f"% {stem.upper()}({number}) deferd {version} | deferd", "# NAME", f"{stem} - {what}",
            "# SYNOPSIS", synopsis]
    for title, place in parts:
        if place.startswith("text:"):
            body = place.removeprefix("text:")
        elif place.startswith("help:"):
            body = options(os.path.join(programs, place.removeprefix("help:")))
        else:
            body = section(place)
        text += [f"# {title}", body]
    others = ", ".join(f"**{other}**({n})" for other, n in SEE_ALSO.items() if other != stem)
    text += ["# SEE ALSO", others + ". The manual is in `/usr/share/doc/deferd/deploy/doc`."]
    return "\n\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--version", default="")
    args = parser.parse_args()
    os.makedirs(args.output, exist_ok=True)
    for name in PAGES:
        subprocess.run(["pandoc", "--standalone", "--from=markdown-smart-tex_math_dollars", "--to=man",
                        "--columns=72", "-o", os.path.join(args.output, name)],
                       input=markdown(name, args.version, args.programs), text=True, check=True)


if __name__ == "__main__":
    main()
