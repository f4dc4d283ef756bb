# SPDX-License-Identifier: MIT
"""Plots as SVG: a panel for each figure, with a bar and a range for each subject."""

from html import escape

from .results import median, number

WIDTH, LABEL, BAR, LINE, TITLE, GAP = 480, 120, 200, 18, 22, 16
COLUMNS = 2
STYLE = ("text { font: 12px sans-serif; fill: #222 } .title { font-weight: bold } "
         ".bar { fill: #9fb3c8 } .ours { fill: #d9822b } "
         ".range { stroke: #222; stroke-width: 1 }")  # fmt: skip


def panels(section, results):
    """Yields (title, digits, [(subject, values)]) for each panel."""
    for measure in section.measures:
        for key, figure in measure.figures.items():
            rows = [
                (subject.name, results.of(section.key, measure.key, key, subject.name))
                for subject in section.subjects
                if not (figure.cost and subject.straight)
            ]
            rows = [(name, values) for name, values in rows if values]
            if figure.plotted and rows:
                title = ", ".join(filter(None, (measure.title, figure.title)))
                word = "less is better" if figure.less else "more is better"
                unit = f", {figure.unit}" if figure.unit else ""
                yield f"{title}{unit} ({word})", figure.digits, rows


def bar(name, values, digits, top, scale):
    """One line of a panel."""
    middle = median(values)
    kind = "bar ours" if name.startswith("ours") else "bar"
    least, most = LABEL + min(values) * scale, LABEL + max(values) * scale
    return "".join([
        f'<text x="{LABEL - 6}" y="{top + 13}" text-anchor="end">{escape(name)}</text>',
        f'<rect class="{kind}" x="{LABEL}" y="{top + 3}" '
        f'width="{middle * scale:.1f}" height="{LINE - 6}"/>',
        f'<path class="range" d="M{least:.1f} {top + 9}H{most:.1f}"/>',
        f'<text x="{most + 6:.1f}" y="{top + 13}">{number(middle, digits)}</text>',
    ])  # fmt: skip


def panel(title, digits, rows, x, y):
    most = max(max(values) for _, values in rows) or 1
    bars = [bar(name, values, digits, TITLE + i * LINE, BAR / most)
            for i, (name, values) in enumerate(rows)]  # fmt: skip
    return (f'<g transform="translate({x} {y})">'
            f'<text class="title" x="0" y="14">{escape(title)}</text>'
            + "".join(bars) + "</g>")  # fmt: skip


def svg(section, results):
    """The text of the file, empty if there is nothing to plot."""
    parts, y = [], GAP
    rows_of = list(panels(section, results))
    for first in range(0, len(rows_of), COLUMNS):
        line = rows_of[first : first + COLUMNS]
        parts += [panel(*which, GAP + i * (WIDTH + GAP), y) for i, which in enumerate(line)]
        y += TITLE + LINE * max(len(rows) for _, _, rows in line) + GAP
    if not parts:
        return ""
    width = GAP + COLUMNS * (WIDTH + GAP)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" '
            f'viewBox="0 0 {width} {y}"><style>{STYLE}</style>'
            f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n')  # fmt: skip
