/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ADMIN_TEXT_H
#define WST_LIB_ADMIN_TEXT_H
/*
 * Text that is put together in a buffer of fixed size. What does not fit is left out, and `full`
 * tells: the text must not be used then.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wst__admin_text {
    char *at;
    size_t size, len;
    bool full;
} wst__admin_text_t;

static inline size_t wst__admin_text_room(const wst__admin_text_t *t) {
    return t->size - t->len;
}

void wst__admin_put(wst__admin_text_t *t, const char *text);
void wst__admin_put_number(wst__admin_text_t *t, uint64_t number);
void wst__admin_put_signed(wst__admin_text_t *t, int64_t number);
void wst__admin_put_bool(wst__admin_text_t *t, bool value);

/* A time in seconds, with as many decimals as it needs and at least one, as OpenMetrics wants
 * numbers in labels. */
void wst__admin_put_seconds(wst__admin_text_t *t, uint64_t us);

/* A time in milliseconds, with three decimals. */
void wst__admin_put_ms(wst__admin_text_t *t, uint64_t us);

/* A JSON string, with its quotes: 6 * len + 2 bytes at most. */
void wst__admin_put_json(wst__admin_text_t *t, const char *text);

/* The value of a label in OpenMetrics, with its quotes: 3 * len + 2 bytes at most. Bytes that are
 * not UTF-8 become U+FFFD. */
void wst__admin_put_label(wst__admin_text_t *t, const char *text);

#endif
