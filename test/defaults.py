#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Defaults: lib/base/defaults.h has each once; what the public headers, the README's tables and the
man pages say must be the same. And the man page must name the members that a reload takes over.

usage: defaults.py             compares
       defaults.py --selftest  changes a number in each of these places and sees that it notices
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "s": 1000, "min": 60000}
# Which structs the "limits" of a configuration are of, and what a man page's section is called.
LIMITS = {"MEMBERS OF THE SERVER": ("server_limits", "access_options", "ctx_options"),
          "MEMBERS OF THE AGENT": ("agent_options", "ctx_options")}
NUMBER = r"(\d[\d,]*)(?: (KiB|MiB|min|s)\b)?"


def number(match):
    return int(match[0].replace(",", "")) * UNITS[match[1] or ""]


class Texts:
    """The files that are compared; a self-test changes them in memory."""

    def __init__(self, change=None):
        self.change = change

    def read(self, path):
        text = (ROOT / path).read_text()
        if self.change is not None and self.change[0] == path:
            assert self.change[1] in text, self.change
            text = text.replace(self.change[1], self.change[2], 1)
        return text


def in_code(texts):
    """What the library does: "struct.member" to its value, a number or a text."""
    found = {}
    text = texts.read("lib/base/defaults.h")
    entries = re.findall(r"WST__\w+ = ([^,/]+?),?\s*/\*(.*?)\*/", text, re.S)
    for value, members in entries:
        if not re.fullmatch(r"[\d* ]+", value):
            sys.exit(f"defaults.h: cannot read {value}")
        product = 1
        for factor in value.split("*"):
            product *= int(factor)
        found.update((member, product) for member in members.split())
    for value, members in re.findall(r'#define \w+\s+"(.*?)"\s*/\*(.*?)\*/', text):
        found.update((member, value) for member in members.split())
    return found


def in_headers(texts):
    """What the docstrings say, of all members that have a number or a text for a default."""
    found = {}
    for header in sorted((ROOT / "include" / "wstunnel").glob("*.h")):
        text = texts.read(str(header.relative_to(ROOT)))
        for name, body in re.findall(r"typedef struct wst_(\w+) \{(.*?)\n\}", text, re.S):
            for member, comment in re.findall(r"(\w+);\s*/\*\*<(.*?)\*/", body, re.S):
                comment = " ".join(comment.split())
                value = re.search(r"default:? " + NUMBER, comment)
                quoted = re.search(r'default "([^"]+)"', comment)
                if value and value[1] != "0":
                    found[f"{name}.{member}"] = number(value.groups())
                elif quoted:
                    found[f"{name}.{member}"] = quoted[1]
    return found


def in_readme(texts, code):
    """Rows of the table of bounds that lack a default of a member that they name."""
    table = texts.read("README.md").split("### What is bounded")[1].split("\n\n")[1]
    for row in table.splitlines()[2:]:
        what, said, where = (cell.strip() for cell in row.strip("|").split("|"))
        values = {number(match) for match in re.findall(NUMBER, what + "; " + said)}
        for name in re.findall(r"`([\w.*]+)`", where):
            pattern = re.escape(name.removeprefix("wst_")).replace(r"\*", r"\w+")
            for member, value in code.items():
                of_programs = member.split(".")[0] in ("server_limits", "agent_options",
                                                       "access_options", "ctx_options")
                if not isinstance(value, int) or not of_programs:
                    continue
                if re.fullmatch(rf"(\w+\.)?{pattern}", member) and value not in values:
                    # "*_timeout_ms" stands for those that no other row names.
                    if "*" not in name or not named_elsewhere(table, member.split(".")[1]):
                        yield f"README: {what}: says {said}, {member} is {value}"


def named_elsewhere(table, member):
    return f"`{member}`" in table


def in_man(texts, code):
    """Numbers in the lists of limits that differ, and members without any."""
    text = texts.read("examples/wstunnel.json.5").replace("\\", "")
    for section, structs in LIMITS.items():
        body = text.split(f".SH {section}")[1].split("\n.SH ")[0]
        body = body.split(".B limits\n")[1].split("\n.TP")[0]
        plain = re.sub(r"^\.BR? (\w+)", r"<\1>", body, flags=re.M).replace("\n", " ")
        said = {}
        for name, words in re.findall(r"<(\w+)>([^<]*)", plain):
            if "(no default)" in words and not any(f"{one}.{name}" in code for one in structs):
                continue
            values = re.findall(r"[( ](\d+)[,;) ]", words)
            said[name] = [int(value) for value in values]
        # "max_failures in failure_window_ms ... (20 in 60000)"
        if "failure_window_ms" in said and not said["max_failures"]:
            said["max_failures"] = said["failure_window_ms"]
        for member, value in code.items():
            struct, name = member.split(".")
            if struct in structs and isinstance(value, int) and name in said:
                if value not in said[name]:
                    yield f"wstunnel.json(5), {section}: {name} is {value}, it says {said[name]}"
        for name in said:
            if not any(f"{struct}.{name}" in code for struct in structs):
                yield f"wstunnel.json(5), {section}: {name} has no default in defaults.h"


def others(texts, code):
    """Texts and single numbers in the programs' own pages."""
    for page, member, words in (
            ("examples/wstunnel-server.1", "server_options.path", "the default is {}"),
            ("examples/wstunnel.json.5", "access_options.realm", "the default is\n.IR {} ."),
            ("examples/wstunnel-agent.1", "agent_options.spare_connections",
             "The default is {},")):
        if words.format(code[member]) not in texts.read(page):
            yield f"{page}: does not say {words.format(code[member])!r}"


def reloaded(texts):
    """Members that are not fixed at the start, of which the man page does not say so."""
    page = texts.read("examples/wstunnel.json.5").split(".SS Reloading")[1].split(".SS ")[0]
    said = set(re.findall(r"\w+", page.replace("\\", "")))
    for program in ("server", "agent"):
        source = texts.read(f"examples/{program}_config.c")
        table = source.split("config_field_t members[] = {")[1].split("\n};")[0]
        for field in re.findall(r"\{\.name.*?\}", table, re.S):
            name = re.search(r'\.name = "(\w+)"', field)[1]
            if ".fixed = true" not in field and ".line_only = true" not in field and name not in said:
                yield f"wstunnel.json(5), Reloading: does not name {name} of the {program}"


def differences(texts):
    code, headers = in_code(texts), in_headers(texts)
    for member in sorted(code.keys() | headers.keys()):
        if code.get(member) != headers.get(member):
            yield f"{member}: {code.get(member)} in defaults.h, {headers.get(member)} in the header"
    yield from in_readme(texts, code)
    yield from in_man(texts, code)
    yield from others(texts, code)
    yield from reloaded(texts)


CHANGES = [
    ("lib/base/defaults.h", "WST__MAX_HANDSHAKES = 512", "WST__MAX_HANDSHAKES = 513"),
    ("lib/base/defaults.h", "agent_options.ping_interval_ms", ""),
    ("lib/base/defaults.h", '"/websocket"', '"/tunnel"'),
    ("include/wstunnel/server.h", "(default 15000)", "(default 16000)"),
    ("include/wstunnel/ctx.h", "(default 512 MiB, or", "(default 128 MiB, or"),
    ("include/wstunnel/dial.h", "(default 10000)", "(no default)"),
    ("README.md", "| 512 |", "| 511 |"),
    ("README.md", "12 KiB; 96 MiB", "12 KiB; 8 MiB"),
    ("README.md", "10 s each", "9 s each"),
    ("README.md", "10 s; 15 s", "10 s; 20 s"),
    ("examples/wstunnel.json.5", "(1024)", "(1025)"),
    ("examples/wstunnel.json.5", "TLS handshakes at a time (512)", "(no default)"),
    ("examples/wstunnel.json.5", "(20 in 60000)", "(20 in 30000)"),
    ("examples/wstunnel.json.5", "(500)", "(501)"),
    ("examples/wstunnel-server.1", "/websocket", "/tunnel"),
    ("examples/wstunnel.json.5", ".BR realm ,", ""),
    ("examples/agent_config.c", '"sni",\n     .kind = CONFIG_TEXT,\n'
     '     .offset = offsetof(agent_config_t, options.sni),\n     .fixed = true', '"sni"'),
]


def main():
    if sys.argv[1:] == ["--selftest"]:
        wrong = [f"not noticed: {change}" for change in CHANGES
                 if not list(differences(Texts(change)))]
    else:
        wrong = list(differences(Texts()))
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
