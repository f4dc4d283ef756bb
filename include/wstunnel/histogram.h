/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_HISTOGRAM_H
#define WSTUNNEL_HISTOGRAM_H
/**
 * @file histogram.h
 * Times that have been measured, counted by their length: wst_server_dial_times(),
 * wst_server_round_trips().
 */
#include <wstunnel/common.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Buckets of a histogram. */
#define WST_HISTOGRAM_BUCKETS 18

/** How many times there have been, by their length. */
typedef struct wst_histogram {
    size_t size;     /**< sizeof the struct (common.h) */
    uint64_t sum_us; /**< of all times */
    /** Times that are longer than the bound of the bucket before, and at most as long as that of
        their own (wst_histogram_bound_us). */
    uint64_t counts[WST_HISTOGRAM_BUCKETS];
} wst_histogram_t;

/** The longest time of a bucket, in microseconds: 100, 250, 500, 1000, 2500 ... up to 20 s;
    UINT64_MAX for the last bucket. */
WST_EXTERN uint64_t wst_histogram_bound_us(size_t bucket);

/** Number of times in all buckets. */
WST_EXTERN uint64_t wst_histogram_count(const wst_histogram_t *histogram);

/**
 * The time that a part of all times do not exceed, in microseconds: half of them for `part` 0.5
 * (the median), 99 % for 0.99. Interpolated within its bucket; in the last bucket its lower bound.
 * @param part  from 0 to 1
 * @return 0 if nothing has been counted
 */
WST_EXTERN uint64_t wst_histogram_quantile_us(const wst_histogram_t *histogram, double part);

#ifdef __cplusplus
}
#endif
#endif
