#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a program's completions for bash, zsh and fish from the text of its --help, which it finds in
the program's source.

usage: completions.py PROGRAM SOURCE BASH_FILE ZSH_FILE FISH_FILE
"""
import ast
import pathlib
import re
import sys

# What --help tells in prose: the values that an option takes; its word for the kind of others.
VALUES = {
    "--client-cert": "required optional none",
    "--encoding": "binary json",
    "--kick": "users all none",
    "--log-format": "text json",
    "--log-level": "error warn info debug",
    "--protocol": "wstunnel talk",
    "--sort": "rate bytes age user destination",
}
FILES = "FILE"
COMMANDS = {
    "wstunnel-server": {
        "doctor": "go the way of a client step by step",
        "init": "make a certificate, a token, a user and a configuration",
        "passwd": "hash a password",
        "status": "show what a server does",
        "help": "show the options",
    },
    "wstunnel-agent": {
        "doctor": "go the way to the server step by step",
        "help": "show the options",
    },
}
# Options that --help only names, or leaves out.
BRIEF = {
    "-h": "show the options",
    "-t": "check the configuration and end",
    "--help": "show the options",
    "--version": "show the version and the TLS engine",
}
# Options of a command, which --help has in the synopsis only.
OF_COMMANDS = {
    "--ca": "doctor, status: the certificates that count",
    "--echo": "doctor: a destination that sends back what it gets",
    "--json": "doctor, status: print JSON",
    "--once": "status: print the table once",
    "--password-file": "status: a file with the operator's password",
    "--proxy-user-file": "doctor: a file with USER:PASSWORD",
    "--report": "doctor: print a report without secrets",
    "--sort": "status: what connections are sorted by",
    "--to": "doctor: a destination",
    "--via": "doctor: the proxy to go through as a client",
    "--via-ca": "doctor: the certificates that count with --via",
    "--via-user-file": "doctor: a file with USER:PASSWORD for --via",
}


class Option:
    def __init__(self, name, argument, description):
        self.name, self.argument = name, argument
        self.repeated = "may be repeated" in description
        self.values = VALUES.get(name)
        own = BRIEF if description or name in BRIEF else OF_COMMANDS
        self.summary = own.get(name) or self.summarize(description)
        self.takes_file = argument == FILES

    def summarize(self, description):
        """The first phrase, which fits into a menu; not if it is the values themselves."""
        text = re.sub(r"^with \S+:? ", "", re.sub(r"^with --protocol talk: ", "", description))
        phrase = re.split(r"; |: | \(|\. |, (?:with|see) ", text)[0].strip().rstrip(",.;:")
        is_values = self.values and re.match(r"\w*", phrase)[0] in self.values.split()
        return self.name.lstrip("-").replace("-", " ") if is_values or not phrase else phrase


def usage_of(source):
    literals = re.search(r"\busage\[\] =\s*(.*?);\n", source, re.S)[1]
    return "".join(ast.literal_eval(text) for text in re.findall(r'"(?:[^"\\]|\\.)*"', literals))


def options_of(usage):
    """Lines "  --name ARGUMENT, --other ARGUMENT  description", which may go on indented; and those that
    only a synopsis has."""
    option = r"--?[a-z][a-z-]*(?: (?:'[^']*'|[^\s,-]\S*?)(?=,? |$))?"
    found = {}
    for head, rest in re.findall(rf"^  ({option}(?:, {option})*)(.*\n(?:      .*\n)*)", usage, re.M):
        for each in re.split(r", (?=-)", head):
            name, _, argument = each.partition(" ")
            found[name] = Option(name, argument, " ".join(rest.split()))
    for name, argument in re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)(?: ([A-Z]+)\b)?", usage):
        found.setdefault(name, Option(name, argument, ""))
    return [*found.values(), *(Option(name, "", "") for name in BRIEF if name not in found)]


def words(options, wanted):
    return " ".join(option.name for option in options if wanted(option))


def bash(program, options):
    function = "_" + program.replace("-", "_")
    cases = "".join(f"    {option.name}) words='{option.values}' ;;\n"
                    for option in options if option.values)  # fmt: skip
    files = words(options, lambda option: option.takes_file).replace(" ", " | ")
    others = words(options, lambda o: o.argument and not o.takes_file and not o.values)
    return f"""# Completion of {program} for bash.
{function}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} words='' kind=-W IFS=$'\\n'
    # --option=value comes as three words.
    if [ "$cur" = = ]; then
        cur=''
    elif [ "$prev" = = ]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    COMPREPLY=()
    case $prev in
{cases}    {files}) kind=-f ;;
    {others.replace(" ", " | ")}) return ;;
    init) kind=-d ;;
    *)
        case $cur in
        -*) words='{words(options, lambda option: True)}' ;;
        *) [ "$COMP_CWORD" -gt 1 ] || words='{" ".join(COMMANDS[program])}' ;;
        esac
        ;;
    esac
    if [ "$kind" = -W ]; then
        COMPREPLY=($(compgen -W "${{words// /$'\\n'}}" -- "$cur"))
    else
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen "$kind" -- "$cur"))
    fi
}}
complete -F {function} {program}
"""


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def zsh(program, options):
    def spec(option):
        summary = re.sub(r"([\[\]:\\])", r"\\\1", option.summary)
        value = ""
        if option.argument:
            kind = f"({option.values})" if option.values else "_files" if option.takes_file else " "
            value = f":{option.argument.split('[')[0].strip(chr(39)).replace(':', chr(92) + ':')}:{kind}"
        name = option.name + ("=" if option.argument and option.name.startswith("--") else "")
        return quoted(("*" if option.repeated else "") + f"{name}[{summary}]{value}")

    commands = " ".join(COMMANDS[program])
    rest = [f"1::command or URL:({commands})", "*:URL: "]
    if program == "wstunnel-server":
        rest = [f"1::command:({commands})", "*:directory:_files -/"]
    lines = " \\\n".join("    " + each for each in [*map(spec, options), *map(quoted, rest)])
    return f"#compdef {program}\n# Completion of {program} for zsh.\n_arguments \\\n{lines}\n"


def fish(program, options):
    def line(option):
        name = f"-l {option.name[2:]}" if option.name.startswith("--") else f"-s {option.name[1:]}"
        value = ""
        if option.values:
            value = f" -x -a '{option.values}'"
        elif option.argument:
            value = " -r -F" if option.takes_file else " -x"
        text = option.summary.replace("\\", "\\\\").replace("'", "\\'")
        return f"complete -c {program} {name}{value} -d '{text}'\n"

    commands = "".join(
        f"complete -c {program} -n __fish_use_subcommand -a {name} -d '{text}'\n"
        for name, text in COMMANDS[program].items())  # fmt: skip
    directories = f"complete -c {program} -n '__fish_seen_subcommand_from init' -a '(__fish_complete_directories)'\n"
    return (f"# Completion of {program} for fish.\ncomplete -c {program} -f\n" + commands
            + (directories if "init" in COMMANDS[program] else "") + "".join(map(line, options)))  # fmt: skip


def main(program, source, *files):
    options = options_of(usage_of(pathlib.Path(source).read_text()))
    for write, path in zip((bash, zsh, fish), files, strict=True):
        pathlib.Path(path).write_text(write(program, options))


if __name__ == "__main__":
    main(*sys.argv[1:])
