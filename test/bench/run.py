#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The laboratory: measures this project's programs beside other tunnels and bare relays.

    meson setup build-release --buildtype=release -Doptimization=2 && ninja -C build-release
    test/bench/run.py build-release                     everything, some hours
    test/bench/run.py build-release --sections plain --measures 'down1|up1' --rounds 3
    test/bench/run.py build-release --quick             a little of everything, as CI does

test/bench/README.md says what is measured, and how. Writes report.md, report.json and a plot for
each section into --out.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab import bench, distance, machine, peers, plot, report, scenes, sections, subjects
from lab.neighbours import Shared
from lab.processes import Failure, raise_limits
from lab.results import Results

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ["bench_load", "bench_mux", "bench_origin", "bench_relay", "bench_link", "bench_tls",
         "bench_tls_pipe", "hangnames.so"]
SECTIONS = ("own", "plain", "tls", "relays", "crowd", "neighbours", "distance")


def main():
    options = parse()
    build_tools(options)
    raise_limits()
    with tempfile.TemporaryDirectory() as directory:
        lab = bench.Bench(options.build, amounts_of(options), Path(directory))
        bench.check_spoiling(lab)
        run(options, lab)


# -- Options -------------------------------------------------------------------------------------


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("build", type=Path, help="a build directory")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="little of everything, to see that it works: figures mean nothing",
    )
    parser.add_argument("--rounds", type=int, help="how often (default 5, with --quick 1)")
    parser.add_argument("--seconds", type=float, help="of each transfer over loopback (default 2)")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="some of %(default)s")
    parser.add_argument(
        "--measures", default="", metavar="REGEX", help="only those whose name matches as a whole"
    )
    parser.add_argument(
        "--subjects", default="", metavar="REGEX", help="only those whose name matches as a whole"
    )
    parser.add_argument(
        "--other",
        action="append",
        default=[],
        metavar="NAME=BUILD",
        help="another build of this project, built already, as one more subject",
    )
    parser.add_argument(
        "--fronts",
        action="store_true",
        help="CONNECT and SOCKS5 of this build as subjects, beside the fixed port",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="where the programs of a peer are: wstunnel, rathole, chisel, frp, ssh",
    )
    parser.add_argument("--out", type=Path, help="a folder for the report (default BUILD/bench)")
    parser.add_argument(
        "--publish", action="store_true", help="put the report into test/bench/README.md, too"
    )
    options = parser.parse_args()
    options.build = options.build.resolve()
    options.out = options.out or options.build / "bench"
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.sections = options.sections.split(",")
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(unknown)}")
    return options


def amounts_of(options):
    amounts = bench.QUICK if options.quick else bench.Amounts()
    return (
        bench.dataclasses.replace(amounts, seconds=options.seconds) if options.seconds else amounts
    )


def build_tools(options):
    targets = [f"test/{tool}" for tool in TOOLS]
    made = subprocess.run(["ninja", "-C", options.build, "examples/wstunnel-server",
                           "examples/wstunnel-agent", *targets], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    if made.returncode != 0:
        sys.exit(made.stdout[-2000:])


# -- What is to be run ---------------------------------------------------------------------------


def named_pairs(parser_values):
    """The paths of each name in NAME=PATH options."""
    found = {}
    for value in parser_values:
        name, _, path = value.partition("=")
        found.setdefault(name, []).append(Path(path).resolve())
    return found


def all_subjects(options, lab):
    """The subjects that can be measured, and lines of text about those that cannot."""
    ours = [subjects.Ours("ours", options.build), subjects.Ours("ours again", options.build)]
    for name, (build, *_) in named_pairs(options.other).items():
        ours.append(subjects.Ours(name, build))
    if options.fronts:
        ours += [subjects.Ours("ours, CONNECT", options.build, "connect"),
                 subjects.Ours("ours, SOCKS5", options.build, "socks")]  # fmt: skip
    others = [subjects.Haproxy(), *peers.all_peers(named_pairs(options.peer))]
    if options.quick:
        others = []
    every = [subjects.Straight("straight"), subjects.Relays(lab.tools),
             subjects.Multiplexer(lab.tools), *ours, *others]
    if options.subjects:
        every = [one for one in every if re.fullmatch(options.subjects, one.name)]
    missing = [one.missing() for one in every if one.missing()]
    return [one for one in every if not one.missing()], missing


def all_sections(options, lab, every, missing):
    ported = [one for one in every if not isinstance(one, subjects.Ours) or one.front == "port"]
    own_ones = [one for one in ported if isinstance(one, subjects.Ours)]
    made = {
        "own": [sections.own(one) for one in own_ones[:1]],
        "plain": [sections.plain(every)],
        "tls": [
            sections.encrypted(every, scenes.make_certificate(lab.directory)),
            sections.handshakes(own_ones),
        ],
        "relays": relay_sections(options, [one for one in ported
                                           if not isinstance(one, subjects.Multiplexer)], missing),
        "crowd": [sections.crowded(own_ones[:2], lab.amounts.crowd)],
        "neighbours": [sections.neighbours([Shared(one.name, one.build) for one in own_ones],
                                           lab.tools / "hangnames.so")],
        "distance": distant_sections(options, lab, ported, missing),
    }
    chosen = [section for name in SECTIONS if name in options.sections for section in made[name]]
    for section in chosen:
        section.choose(sections.QUICK if options.quick else ".*")
        section.choose(f".*/({options.measures or '.*'})")
    return [section for section in chosen if section.measures and section.subjects]


def relay_sections(options, every, missing):
    installed = scenes.installed_relays()
    names = {relay.program for relay in scenes.RELAYS} - {relay.program for relay in installed}
    if "relays" in options.sections:
        missing += [f"{name}: not installed" for name in sorted(names)]
    return [
        sections.behind_relay(relay, every) for relay in installed[: 1 if options.quick else None]
    ]


def distant_sections(options, lab, every, missing):
    program = lab.tools / "bench_link"
    reason = "distance" in options.sections and distance.why_not(program)
    if reason:
        missing.append(reason)
        return []
    every = [one for one in every if one.straight or isinstance(one, subjects.Ours)]
    trips, losses = ((20,), (0,)) if options.quick else (sections.ROUND_TRIPS, sections.LOSSES)

    def scene_of(rtt, loss):
        return distance.Distant(program=program, rtt_ms=rtt, loss=loss)

    return [sections.distant(scene_of, every, distance.sysctls(), trips, losses)]


# -- The run -------------------------------------------------------------------------------------


class Progress:
    """The progress line, on standard error."""

    def __init__(self, total, brief):
        self.total, self.done, self.begun = total, 0, time.monotonic()
        self.brief = brief  # only on a terminal

    def tell(self, text):
        self.done += 1
        left = (time.monotonic() - self.begun) / self.done * (self.total - self.done)
        line = f"[{self.done}/{self.total}, {left / 60:.0f} min left] {text}"
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns
            print(f"\r{line[: width - 1]:{width - 1}}", end="", file=sys.stderr, flush=True)
        elif not self.brief:
            print(line, file=sys.stderr, flush=True)


def run_one(lab, results, section, measure, subject):
    """Returns the text for the progress line."""
    try:
        figures = measure.run(lab, subject)
    except Failure as failure:
        results.add_failure(section, measure, subject.name, str(failure))
        return str(failure)
    results.add(section.key, measure.key, subject.name, figures)
    return report.one_line(figures, measure)


def run_rounds(options, lab, chosen, results):
    """Runs the subjects in turns; each round begins with another subject."""
    pairs = [(section, *pair) for section in chosen for pair in section.pairs()]
    progress = Progress(options.rounds * sum(len(pair[2]) for pair in pairs), options.quick)
    for turn in range(options.rounds):
        for section, measure, those in pairs:
            first = turn % len(those)
            for subject in those[first:] + those[:first]:
                said = run_one(lab, results, section, measure, subject)
                progress.tell(
                    f"round {turn + 1}: {section.key}/{measure.key}, {subject.name}: {said}"
                )


def run(options, lab):
    every, missing = all_subjects(options, lab)
    chosen = all_sections(options, lab, every, missing)
    results, noise = Results(), machine.Noise()
    facts = machine.facts(ROOT)
    run_rounds(options, lab, chosen, results)
    parameters = {"rounds": options.rounds, "transfer": f"{lab.amounts.seconds:g} s",
                  "noise": noise.line()}  # fmt: skip
    made = report.Report(facts, parameters, every, missing)
    write(options, made, chosen, results)
    finish(options, every, chosen, results)


def write(options, made, chosen, results):
    options.out.mkdir(parents=True, exist_ok=True)
    for section in chosen:
        text = plot.svg(section, results)
        if text:
            made.plots[section.key] = f"plot-{section.key}.svg"
            (options.out / made.plots[section.key]).write_text(text)
    markdown = made.markdown(chosen, results)
    (options.out / "report.md").write_text(f"# What tunnels cost\n\n{markdown}")
    (options.out / "report.json").write_text(made.json(results))
    if not options.quick:
        print(f"\n{markdown}")
    print(f"report.md, report.json and plots are in {os.path.relpath(options.out)}")
    if options.publish:
        publish(options, made, markdown)


BEGIN, END = "<!-- A report of run.py begins here. -->", "<!-- The report ends here. -->"


def publish(options, made, markdown):
    """Puts the report between two marker lines of README.md."""
    folder = Path(__file__).resolve().parent
    page = folder / "README.md"
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{markdown}\n{END}{rest.split(END)[1]}")
    for name in made.plots.values():
        shutil.copy(options.out / name, folder)


def finish(options, every, chosen, results):
    """Fails if a figure of this project is missing, with --quick if any is."""
    mine = [one.name for one in every if options.quick or isinstance(one, subjects.Ours)]
    lacking = [line for section in chosen for measure, those in section.pairs()
               for subject in those if subject.name in mine
               for line in results.lacking(section, measure, subject, options.rounds)]  # fmt: skip
    if lacking or not results.values:
        sys.exit("\n".join(["figures are missing:", *lacking, *results.failures]))


if __name__ == "__main__":
    main()
