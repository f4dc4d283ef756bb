# SPDX-License-Identifier: MIT
"""What run.py makes of figures: medians, ratios within a round, marks, tables and plots.

./test/run.sh and --ci run this file."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import xml.dom.minidom
from pathlib import Path

import pytest

from lab import lag, neighbours, plot, report
from lab.marks import Mark
from lab.measures import Bulk
from lab.processes import HERE, Failure, Group
from lab.results import Results, spread
from lab.scenes import Scene
from lab.sections import Section
from lab.subjects import Ours, Straight, Subject, Way, listening

BUILD = Path(os.environ.get("WSTUNNEL_BUILD", "build-release"))
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


def test_a_mark_can_be_against_another_figure_of_ours():
    mark = Mark("down", RATE, ("as much CPU",), least=5, over=("plain", "down1", "cpu"))
    line = mark.line(results_of(ours=[None, 5, 7]), "ours")
    assert line == "| down | as much CPU | ≥ 5 | 6.00 [5.00–7.00] | met |"


def test_a_mark_without_a_bound_has_no_verdict():
    mark = Mark("down", RATE, ("other",))
    line = mark.line(results_of(ours=[1], other=[2]), "ours")
    assert line == "| down | other |  | 0.50 |  |"


def test_a_measure_that_suits_no_subject_is_left_out():
    class Unsuited(Bulk):
        def suits(self, subject):
            return False

    section = section_of(Subject("ours"))
    section.measures.append(Unsuited("down8", "8 streams down", Scene(), "get"))
    section.choose(".*")
    assert [measure.key for measure in section.measures] == ["down1"]


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


def test_a_program_tells_the_turns_of_its_loop(tmp_path):
    ours, group = Ours("ours", BUILD), Group(tmp_path)
    assert ours.tells_turns
    try:
        server = group.start(HERE, ours.programs / "wstunnel-server", "--listen", "127.0.0.1:0")
        listening(server)
        figures = lag.Loops([server]).figures()
    finally:
        group.stop()
    assert sorted(figures) == ["server_long", "server_turn"]
    assert figures["server_turn"] >= 0 and 0 <= figures["server_long"] <= 100


def test_turns_are_told_for_the_measures_that_have_them():
    results, section = results_of(ours=[1, 2]), section_of()
    assert report.lag_table([section], results, "ours") == ""
    for turn in (0.5, 2.5):
        turns = dict(zip(lag.FIGURES, (turn, 10, turn / 2, 0)))
        results.add("plain", "down1", "ours", turns)
    assert report.lag_table([section], results, "ours").splitlines()[2] == (
        "| plain: 1 stream down | 1.50 [0.50–2.50] | 10.00 [10.00–10.00] "
        "| 0.75 [0.25–1.25] | 0.00 [0.00–0.00] |")  # fmt: skip


def test_a_way_says_what_it_has():
    assert Way("a:1").options() == ["--via", "direct", "a:1"]
    assert Way("a:1", "connect", "b:2", "Name: value").options() == [
        "--via", "connect", "--to", "b:2", "--field", "Name: value", "a:1"]  # fmt: skip


def test_noise_that_was_none_fails():
    crowd = neighbours.Crowd("hold", 1, 1, ("held",))
    crowd.check({"held": 1, "started": 1})
    with pytest.raises(Failure, match="noise of hold without held"):
        crowd.check({"429": 1, "started": 1})
    with pytest.raises(Failure):
        neighbours.Crowd("heads", 1, 1).check({"started": 0})


@contextlib.contextmanager
def proxy_with_room_for(count):
    """Answers CONNECT 200 so many times, then 429. Yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    kept.append(listener.accept()[0])
                    assert kept[-1].recv(1000).endswith(b"\r\n\r\n")
                    status = "200 OK" if len(kept) <= count else "429 Your share is used up"
                    kept[-1].sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for one in kept:
            one.close()


def test_noise_takes_all_it_can_get():
    script = Path(neighbours.__file__).with_name("noise.py")
    with proxy_with_room_for(7) as address:
        noise = subprocess.Popen(
            [sys.executable, "-B", script, "hold", "--user", "a:b", "--to", "c.test:1", "--rate",
             "1000", "--streams", "50", address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
        under_way = json.loads(noise.stdout.readline())
        at_the_end = json.loads(noise.communicate()[0])
    assert under_way["held"] == 7 and under_way["429"] > 0
    assert at_the_end["held"] == 7  # some that will be refused may still be open
