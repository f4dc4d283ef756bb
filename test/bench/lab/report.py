# SPDX-License-Identifier: MIT
"""A run as Markdown and JSON."""

import json

from . import lag, marks
from .results import number, spread


def heading(figure, measure):
    words = [measure.title, figure.title, figure.unit and f"({figure.unit})"]
    return ", ".join(filter(None, words[:2])) + (f" {words[2]}" if words[2] else "")


def section_table(section, results):
    """A row for each figure, a column for each subject."""
    names = [subject.name for subject in section.subjects]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for measure in section.measures:
        for key, figure in measure.figures.items():
            cells = ["" if figure.cost and subject.straight else
                     spread(results.of(section.key, measure.key, key, subject.name), figure.digits)
                     for subject in section.subjects]  # fmt: skip
            lines.append(f"| {heading(figure, measure)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def null_control(sections, results, ours, again):
    """The ratios between two subjects with the same programs: the noise of the run."""
    lines = ["| | the same again / ours |", "|---|---|"]
    for section in sections:
        for measure in section.measures:
            for key, figure in measure.figures.items():
                ratios = results.ratios(section.key, measure.key, key, again, ours)
                if ratios:
                    lines.append(
                        f"| {section.key}: {heading(figure, measure)} | {spread(ratios, 2)} |"
                    )
    return "\n".join(lines)


def lag_table(sections, results, ours):
    """How long the turns of the loops were in each measure; empty if none was taken of ours."""
    titles = lag.FIGURES.values()
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for section in sections:
        for measure in section.measures:
            values = [results.of(section.key, measure.key, key, ours) for key in lag.FIGURES]
            if any(values):
                cells = " | ".join(spread(those, 2) for those in values)
                lines.append(f"| {section.key}: {measure.title} | {cells} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def header(facts, subjects, missing, parameters):
    lines = [f"- {name}: {value}" for name, value in {**facts, **parameters}.items()]
    lines += [f"- {subject.name}: {subject.version}" for subject in subjects if subject.version]
    lines += [f"- not measured: {reason}" for reason in missing]
    return "\n".join(lines)


class Report:
    """The contents of a report; `plots` has file names by section key."""

    def __init__(self, facts, parameters, subjects, missing):
        self.facts, self.parameters, self.subjects = facts, parameters, subjects
        self.missing, self.plots = missing, {}

    def markdown(self, sections, results):
        ours, again = "ours", "ours again"
        parts = [header(self.facts, self.subjects, self.missing, self.parameters),
                 "Each cell is the median of the rounds, with the least and the most."]  # fmt: skip
        for section in sections:
            parts += [f"## {section.title}", section.note, section_table(section, results)]
            if section.key in self.plots:
                parts.append(f"![{section.title}]({self.plots[section.key]})")
        turns = lag_table(sections, results, ours)
        if turns:
            parts += ["## The loop's lag", "Turns of the event loops during the measurements of ours. "
                      "A turn takes longer if the loop waits for a core.", turns]  # fmt: skip
        parts += ["## Marks", marks.table(results, ours),
                  "## Null control", "Two subjects with the same programs, in turns. "
                   "Smaller differences than these are noise.",
                  null_control(sections, results, ours, again)]  # fmt: skip
        if results.failures:
            parts += ["## Failures", "\n".join(f"- {line}" for line in results.failures)]
        return "\n\n".join(parts) + "\n"

    def json(self, results):
        return json.dumps({
            "facts": self.facts, "parameters": self.parameters, "missing": self.missing,
            "versions": {subject.name: subject.version for subject in self.subjects},
            "results": results.as_json(), "failures": results.failures,
        }, indent=1)  # fmt: skip


def one_line(figures, measure):
    """The figures of one measurement, for the progress line."""
    return ", ".join(f"{number(figures[key], figure.digits)} {figure.unit}".strip()
                     for key, figure in measure.figures.items())  # fmt: skip
