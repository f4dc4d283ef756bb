# SPDX-License-Identifier: MIT
"""The soak, as long as SOAK_SECONDS says."""
import os

from soak import PARTS, Soak, draw_faults


def test_soak(world, seed):
    Soak(world, seed, float(os.environ.get("SOAK_SECONDS", 60))).run()


def test_a_seed_repeats_it():
    """And a minute is enough for each kind of fault."""
    for part in PARTS:
        faults = draw_faults(1, part, 60)
        assert faults == draw_faults(1, part, 60)
        assert faults != draw_faults(2, part, 60)
        assert {fault.kind for fault in faults} == set(part.faults)
