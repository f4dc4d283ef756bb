/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HISTOGRAM_H
#define WST_LIB_HISTOGRAM_H
/* Counting times by their length (wstunnel/histogram.h). */
#include <wstunnel/histogram.h>

/* `histogram` begins as zeros. */
void wst__histogram_add(wst_histogram_t *histogram, uint64_t us);

#endif
