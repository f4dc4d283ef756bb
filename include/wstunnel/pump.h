/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_PUMP_H
#define WSTUNNEL_PUMP_H
/**
 * @file pump.h
 * Joins two streams: bytes read from one are written to the other, both ways, until both directions
 * are done. Back-pressure: a side that cannot take more pauses the other. Half-close: the end of
 * one direction is passed on after its last byte, while the other direction goes on. Reset: if one
 * side breaks, the other is reset, never ended.
 */
#include <wstunnel/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A pump. */
typedef struct wst_pump wst_pump_t;

/** Figures of a pump. */
typedef struct wst_pump_stats {
    size_t size;           /**< sizeof the struct (common.h) */
    uint64_t bytes_a_to_b; /**< read from `a` so far */
    uint64_t bytes_b_to_a; /**< read from `b` so far */
    char first_end;        /**< the side that ended or broke first: 'a', 'b', or 0: neither yet */
    char failed_side;      /**< the side that broke: 'a', 'b', or 0: none, or the pump's timeout */
} wst_pump_stats_t;

/** Options of a pump. */
typedef struct wst_pump_options {
    size_t size;                     /**< sizeof the struct (common.h) */
    uint64_t idle_timeout_ms;        /**< Optional (default 0: none). No byte in either
                                          direction. */
    uint64_t half_closed_timeout_ms; /**< Optional (default 600000). One direction has ended and the
                                          other has not moved for so long. */
    /**
     * Both directions are done (status 0), or the pump gave up: the error of the side that broke,
     * or WST_EIDLE. Both streams have been closed. Once.
     */
    void (*on_done)(wst_pump_t *pump, int status, void *user_data);
    void *user_data; /**< For on_done and close_cb. */
} wst_pump_options_t;

/**
 * Starts pumping. On success takes both streams and sets their callbacks; on error takes none.
 * @return 0 or WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_pump_new(wst_pump_t **out, wst_ctx_t *ctx, wst_stream_t *a,
                                           wst_stream_t *b, const wst_pump_options_t *options);

/** Fills in the figures so far, until close_cb has returned. @return 0; WST_EINVAL: `stats->size`
   is not set. */
WST_EXTERN int wst_pump_get_stats(const wst_pump_t *pump, wst_pump_stats_t *stats);

/** Ends the pump; streams that are not done yet are reset with WST_ECANCELLED. */
WST_EXTERN void wst_pump_close(wst_pump_t *pump, wst_close_cb close_cb);

#ifdef __cplusplus
}
#endif
#endif
