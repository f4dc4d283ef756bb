/* SPDX-License-Identifier: MIT */
#ifndef TEST_HIJACK_WORLD_H
#define TEST_HIJACK_WORLD_H
/* What the tests of the hijack share: a loop, a context, a scripted connection, a hijack of it. */
#include "fake_stream.h"
#include "support.h"

#include "ctx.h"
#include <wstunnel/hijack.h>

typedef struct world {
    uv_loop_t loop;
    wst_ctx_t *ctx;
    fake_stream_t client;
    wst_hijack_t *hijack;
    wst_hijack_options_t options;

    /* What to do in the callbacks, if anything. */
    void (*in_request)(struct world *w);
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
} world_t;

/* Everything but the hijack. False if there was no memory. */
bool hijack_world_init(world_t *w);

/* The hijack, with w->options. False if there was no memory. */
bool world_hijack(world_t *w);

/* Both, with default options. */
void hijack_world_start(world_t *w);

/* Closes what there is; afterwards nothing may be left. */
void hijack_world_free(world_t *w);

void turns(world_t *w, int n);

/* Runs deadlines as if so many milliseconds had gone by. */
void pretend_later(world_t *w, uint64_t ms);

void say(world_t *w, const char *text);

/* Takes the connection; w->got gathers what comes out of it once it is read. */
void take(world_t *w);
void read_taken(world_t *w);

/* Answers 407 and keeps the connection if possible. */
void ask_for_password(world_t *w);

void close_hijack(world_t *w);

/* Whether what was written to the client begins, ends with, contains a text. */
void assert_written(const world_t *w, const char *text);
void assert_written_has(const world_t *w, const char *part);

#endif
