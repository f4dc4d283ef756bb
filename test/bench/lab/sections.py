# SPDX-License-Identifier: MIT
"""The sections of a report: their measures, scenes and subjects."""

import dataclasses
import re

from .measures import (Beside, Bulk, Crowd, Download, Echo, FarBulk, FirstAnswer, Idle, Shares,
                       Visits, VisitsBeside)  # fmt: skip
from .neighbours import Neighbour, noises
from .own import Handshakes, LibraryBulk, Sizes, StartUp
from .scenes import Scene, relay_scenes

MIB = 1 << 20


@dataclasses.dataclass
class Section:
    """A table of a report, with a column for each subject."""

    key: str
    title: str
    note: str
    measures: list
    subjects: list

    def choose(self, pattern):
        """Keeps the measures whose SECTION/KEY matches fully and that suit any subject, and the
        subjects that suit any measure."""
        self.measures = [one for one in self.measures
                         if re.fullmatch(pattern, f"{self.key}/{one.key}")
                         and any(map(one.suits, self.subjects))]  # fmt: skip
        self.subjects = [subject for subject in self.subjects
                         if any(one.suits(subject) for one in self.measures)]  # fmt: skip

    def pairs(self):
        """The work of a round: each measure with its subjects."""
        for measure in self.measures:
            yield measure, [subject for subject in self.subjects if measure.suits(subject)]


def transfers(scene, prefix="", streams=(1, 8, 64)):
    return [Bulk(f"{prefix}{way}{count}", f"{count} stream{'s' * (count > 1)} {way}",
                 scene, what, count)
            for count in streams for way, what in (("down", "get"), ("up", "put"))]  # fmt: skip


def loads(scene, streams):
    return [*transfers(scene, streams=streams),
            Echo("echo", "64-byte echo, idle", scene),
            Beside("beside", "64-byte echo beside a download", scene),
            Visits("visit1", "connections, one at a time", scene, 1),
            Visits("visit64", "connections, 64 at a time", scene, 64),
            VisitsBeside("visits_beside", "connections beside a download", scene),
            Idle("idle", "an idle tunnel", scene)]  # fmt: skip


def plain(subjects):
    return Section("plain", "Over loopback, ws://",
                   "Clients connect to a fixed port of the server. CPU is the time of all processes "
                   "between client and origin.",
                   loads(Scene(), (1, 8, 64)), subjects)  # fmt: skip


def encrypted(subjects, certificate):
    return Section("tls", "Over loopback, wss://",
                   "TLS between server and agent only. mbedTLS alone: two processes with nothing but "
                   "mbedtls_ssl_write and mbedtls_ssl_read, and the cipher suite of ours.",
                   [LibraryBulk("library", "1 stream, mbedTLS alone", None),
                    *loads(Scene(certificate=certificate), (1, 8))], subjects)  # fmt: skip


def handshakes(subjects):
    return Section("handshakes", "TLS alone",
                   "Handshakes of two ends in one process, without sockets: how many one core does a "
                   "second. EC P-256 and RSA 2048 are the keys of certificates in full handshakes.",
                   [Handshakes("handshakes", "handshakes", None)], subjects)  # fmt: skip


RELAY_TITLES = {"carrier": "between agent and server", "client": "between client and server",
                "origin": "between agent and origin"}  # fmt: skip


def behind_relay(relay, subjects):
    measures = [measure for at, scene in relay_scenes(relay).items()
                for measure in transfers(scene, f"{at}-", (1,))]  # fmt: skip
    for measure in measures:
        way = measure.title.split()[-1]
        measure.title = f"{RELAY_TITLES[measure.scene.relay_at]}, {way}"
    return Section(f"relay-{relay.program}",
                   f"Through {relay.program}, which leaves Nagle's algorithm on",
                   "One stream. \"straight\" passes through the relay alone.",
                   measures, subjects)  # fmt: skip


# The measures of --quick, by SECTION/KEY.
QUICK = r"(own|handshakes|crowd|distance)/.*|neighbours/(bulk|passwords)|plain/(?!up8|up64).*|tls/(library|down1|up8|visit64)|relay-.*/carrier-.*"
LOSSES = (0, 0.1, 1)  # percentages
ROUND_TRIPS = (20, 100, 200)  # ms
LOSSY = (50, 1)  # ms, percentage


def distant(scene_of, subjects, sysctls, round_trips=ROUND_TRIPS, losses=LOSSES):
    """`scene_of(rtt_ms, loss)` is a scene with an emulated link; `sysctls` are its own, in words."""
    measures = []
    for rtt in round_trips:
        for loss in losses:
            scene, where = scene_of(rtt, loss), f"{rtt} ms, {loss} % loss"
            measures += [FarBulk(f"{rtt}ms-{loss}-down", f"{where}, down", scene, "get"),
                         FarBulk(f"{rtt}ms-{loss}-up", f"{where}, up", scene, "put")]  # fmt: skip
    rtt = round_trips[len(round_trips) // 2]
    measures += [Download(f"{rtt}ms-{loss}-8mib", f"8 MiB at {rtt} ms, {loss} % loss",
                          scene_of(rtt, loss), 8 * MIB) for loss in losses]  # fmt: skip
    measures.append(FirstAnswer(f"{rtt}ms-answer", f"answer on a new connection at {rtt} ms",
                                scene_of(rtt, 0)))  # fmt: skip
    measures += shared_loads(scene_of)
    return Section("distance", "Over a distance: an emulated link of 1 Gbit/s",
                   "One stream, unless said. The link lies between server and agent, or between client and origin "
                   "if there is no tunnel. Congestion control is the machine's, unless said; " + sysctls,
                   measures, subjects)  # fmt: skip


def shared_loads(scene_of):
    """A MiB on each of eight streams, by one connection of the agent and by four, where each
    connection is slow."""
    rtt, loss = LOSSY
    title = f"{rtt} ms, {loss} % loss, CUBIC, 8 streams down by"
    return [Shares(f"{rtt}ms-{loss}-down8-by{count}",
                   f"{title} {count} connection{'s' * (count > 1)}",
                   dataclasses.replace(scene_of(rtt, loss), congestion="cubic", connections=count),
                   8, MIB) for count in (1, 4)]  # fmt: skip


def own(subject):
    return Section("own", "Programs and library",
                   "Stripped; mbedTLS, libuv, wslay and cJSON are shared libraries of the system.",
                   [StartUp("startup", "start-up", None), Sizes("size", "size", None)],
                   [subject])  # fmt: skip


def neighbours(subjects, library):
    """`library`: hangnames."""
    return Section("neighbours", "A noisy neighbour",
                   "One user's echoes and new connections while another user makes noise, and the "
                   "ratio of their p99 to that of the same user just before, alone.",
                   [Neighbour(key, f"beside {title}", scene, noise)
                    for key, (title, scene, noise) in noises(library).items()],
                   subjects)  # fmt: skip


def crowded(subjects, count):
    return Section("crowd", "Many idle tunnels", "All of them of one user, through one agent, within the default limits.",
                   [Crowd("crowd", f"{count:,} idle tunnels", Scene())], subjects)  # fmt: skip
