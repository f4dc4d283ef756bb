/* SPDX-License-Identifier: MIT */
/* Times, counted by their length (histogram.h). */
#include "histogram.h"

/* Three in each decade, as far as a dial or a round trip may take. */
static const uint64_t bounds[WST_HISTOGRAM_BUCKETS] = {
    100,    250,    500,    1000,    2500,    5000,    10000,    25000,    50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 20000000, UINT64_MAX,
};

uint64_t wst_histogram_bound_us(size_t bucket) {
    return bounds[bucket < WST_HISTOGRAM_BUCKETS ? bucket : WST_HISTOGRAM_BUCKETS - 1];
}

void wst__histogram_add(wst_histogram_t *h, uint64_t us) {
    size_t i = 0;
    while (us > bounds[i])
        i++;
    h->counts[i]++;
    h->sum_us += us;
}

uint64_t wst_histogram_count(const wst_histogram_t *h) {
    uint64_t count = 0;
    for (size_t i = 0; i < WST_HISTOGRAM_BUCKETS; i++)
        count += h->counts[i];
    return count;
}

uint64_t wst_histogram_quantile_us(const wst_histogram_t *h, double part) {
    uint64_t count = wst_histogram_count(h), below = 0, lower = 0;
    double wanted = part * (double)count;
    for (size_t i = 0; i < WST_HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t within = h->counts[i];
        if (within > 0 && (double)(below + within) >= wanted) {
            double share = (wanted - (double)below) / (double)within;
            return lower + (uint64_t)(share * (double)(bounds[i] - lower));
        }
        below += within;
        lower = bounds[i];
    }
    return count > 0 ? lower : 0;
}
