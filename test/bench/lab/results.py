# SPDX-License-Identifier: MIT
"""The figures of a run, round by round, and their statistics."""

import statistics


class Results:
    """Values by (section, measure, figure, subject): one a round, None where it failed."""

    def __init__(self):
        self.values, self.failures = {}, []

    def add(self, section, measure, subject, figures):
        for figure, value in figures.items():
            self.values.setdefault((section, measure, figure, subject), []).append(value)

    def add_failure(self, section, measure, subject, reason):
        self.add(section.key, measure.key, subject, dict.fromkeys(measure.figures))
        self.failures.append(f"{section.key}/{measure.key}, {subject}: {reason}")

    def of(self, section, measure, figure, subject):
        """The values without failures."""
        values = self.values.get((section, measure, figure, subject), [])
        return [value for value in values if value is not None]

    def tried(self, section, measure, figure, subject):
        return (section, measure, figure, subject) in self.values

    def ratios(self, section, measure, figure, subject, other):
        """Of a subject to another one, round by round."""
        where = section, measure, figure
        return self.quotients((*where, subject), (*where, other))

    def quotients(self, one, other):
        """Of the figures of a key (section, measure, figure, subject) to those of another one."""
        pairs = zip(self.values.get(one, []), self.values.get(other, []))
        return [a / b for a, b in pairs if a is not None and b]

    def lacking(self, section, measure, subject, rounds):
        """The missing figures, as lines of text."""
        return [
            f"{section.key}/{measure.key}, {subject.name}: {key}"
            for key, figure in measure.figures.items()
            if not (figure.cost and subject.straight)
            and len(self.of(section.key, measure.key, key, subject.name)) != rounds
        ]

    def as_json(self):
        return [dict(zip(("section", "measure", "figure", "subject"), key), values=values)
                for key, values in self.values.items()]  # fmt: skip


def median(values):
    return statistics.median(values) if values else None


def number(value, digits):
    """A number as text, readable at its size."""
    if digits == 0 and value < 10:
        digits = 1
    return f"{value:,.{digits}f}"


def spread(values, digits):
    """The median, with the least and the most if there is more than one value."""
    if not values:
        return "–"
    middle = number(median(values), digits)
    if len(values) == 1:
        return middle
    return f"{middle} [{number(min(values), digits)}–{number(max(values), digits)}]"
