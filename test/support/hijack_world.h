/* SPDX-License-Identifier: MIT */
#ifndef TEST_HIJACK_WORLD_H
#define TEST_HIJACK_WORLD_H
/* What the tests of the hijack share: a loop, a context, a scripted connection, a hijack of it. */
#include "fake_stream.h"
#include "support.h"

#include "ctx.h"
#include <wstunnel/hijack.h>

typedef struct hijack_world {
    uv_loop_t loop;
    wst_ctx_t *ctx;
    fake_stream_t client;
    wst_hijack_t *hijack;
    wst_hijack_options_t options;

    /* What to do in the callbacks, if anything. */
    void (*in_request)(struct hijack_world *w);
    bool close_in_done;

    int requests;
    const wst_http_head_t *head; /* of the last request */
    char target[64];             /* a copy */
    int done, status;            /* calls of on_done, the last one's status */
    int closed;                  /* calls of close_cb */

    wst_stream_t *taken;
    uint8_t got[512]; /* what came out of it */
    size_t got_len;
    bool got_end;
} hijack_world_t;

/* Everything but the hijack. False if there was no memory. */
bool hijack_world_init(hijack_world_t *w);

/* The hijack, with w->options. False if there was no memory. */
bool hijack_world_hijack(hijack_world_t *w);

/* Both, with default options. */
void hijack_world_start(hijack_world_t *w);

/* Closes what there is; afterwards nothing may be left. */
void hijack_world_free(hijack_world_t *w);

void hijack_world_turns(hijack_world_t *w, int n);

/* Runs deadlines as if so many milliseconds had gone by. */
void hijack_world_pass(hijack_world_t *w, uint64_t ms);

void hijack_world_say(hijack_world_t *w, const char *text);

/* Takes the connection; w->got gathers what comes out of it once it is read. */
void hijack_world_take(hijack_world_t *w);
void hijack_world_read(hijack_world_t *w);

/* Answers 407 and keeps the connection if possible. */
void hijack_world_challenge(hijack_world_t *w);

void hijack_world_close_hijack(hijack_world_t *w);

/* Whether what was written to the client begins, ends with, contains a text. */
void hijack_world_assert_written(const hijack_world_t *w, const char *text);
void hijack_world_assert_written_has(const hijack_world_t *w, const char *part);

#endif
