# SPDX-License-Identifier: MIT
"""What run.py makes of figures: medians, ratios within a round, marks, tables and plots."""

import xml.dom.minidom

from lab import plot, report
from lab.marks import Mark
from lab.measures import Bulk
from lab.results import Results, spread
from lab.scenes import Scene
from lab.sections import Section
from lab.subjects import Straight, Subject

RATE = ("plain", "down1", "rate")


def section_of(*subjects):
    return Section(
        "plain", "Plain", "", [Bulk("down1", "1 stream down", Scene(), "get")], list(subjects)
    )


def results_of(**rates):
    """Rates by subject, one a round; None: it failed."""
    results, section = Results(), section_of()
    for name, values in rates.items():
        for value in values:
            if value is None:
                results.add_failure(section, section.measures[0], name, "no reason")
            else:
                results.add("plain", "down1", name, {"rate": value, "cpu": 1})
    return results


def test_a_spread_tells_median_least_and_most():
    assert spread([3000, 10, 200], 0) == "200 [10–3,000]"


def test_ratios_are_of_figures_of_one_round():
    results = results_of(ours=[10, 90, 40], other=[20, 30, None])
    assert results.ratios(*RATE, "ours", "other") == [0.5, 3]


def test_a_mark_is_met_by_the_median_of_the_ratios():
    mark = Mark("down", RATE, ("other",), least=1)
    results = results_of(ours=[1, 2, 3], other=[2, 2, 2])
    assert mark.line(results, "ours").endswith("| 1.00 [0.50–1.50] | met |")
    results = results_of(ours=[1, 1, 3], other=[2, 2, 2])
    assert mark.line(results, "ours").endswith("| 0.50 [0.50–1.50] | **missed** |")


def test_the_best_peer_is_the_one_with_the_least():
    mark = Mark("latency", RATE, ("a", "b", "c"), most=0.2, best=True)
    assert mark.values(results_of(ours=[2], a=[40], b=[10]), "ours") == [0.2]


def test_a_mark_against_what_is_missing_is_not_measured():
    mark = Mark("down", RATE, ("other",), least=1)
    assert "not measured" in mark.line(results_of(ours=[1]), "ours")


def test_a_mark_whose_figure_failed_is_failed():
    mark = Mark("down", RATE, ("other",), least=1)
    assert mark.line(results_of(ours=[None], other=[1]), "ours").endswith("| – | **failed** |")


def test_figures_that_failed_are_lacking_and_named():
    ours = Subject("ours")
    section, results = section_of(ours), results_of(ours=[1, None])
    assert results.lacking(section, section.measures[0], ours, 2) == [
        "plain/down1, ours: rate", "plain/down1, ours: cpu"]  # fmt: skip
    assert results.failures == ["plain/down1, ours: no reason"]


def test_what_is_straight_costs_nothing():
    straight = Straight("straight")
    section, results = section_of(straight), results_of(straight=[5000])
    assert results.lacking(section, section.measures[0], straight, 1) == []
    assert report.section_table(section, results).splitlines()[-1] == (
        "| 1 stream down, CPU (s/GiB) |  |")  # fmt: skip


def test_a_plot_is_a_document_with_a_bar_for_each_subject():
    section = section_of(Subject("ours"), Subject("<other>"))
    text = plot.svg(section, results_of(**{"ours": [1, 2], "<other>": [3, 4]}))
    bars = xml.dom.minidom.parseString(text).getElementsByTagName("rect")
    assert [bar.getAttribute("class") for bar in bars] == ["", "bar ours", "bar", "bar ours", "bar"]
