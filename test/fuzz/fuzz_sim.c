/* SPDX-License-Identifier: MIT */
/*
 * Two sessions at the ends of a link that splits, delays and dies (../support/sim.h). The input
 * decides all: the windows and bounds of both, which application opens, writes, reads, ends, yields
 * or resets a stream, what arrives, when the link is cut and when it is attached again. Then all
 * must come to its end.
 *
 * Checked: every byte arrives once and is the right one, ends and resets are told once and with
 * their cause, memory stays within its bounds, nothing is left over.
 */
#include "sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 0 && size <= 4096)
        sim_run_input(data, size);
    return 0;
}
