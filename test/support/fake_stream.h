/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAKE_STREAM_H
#define TEST_FAKE_STREAM_H
/*
 * A kind of stream for tests, made through the public interface: it delivers what it is told to,
 * from the loop, and records what is done to it.
 *
 *     fake_stream_t fake;
 *     if (fake_stream_open(&fake, ctx) != 0) ...          (WST_ENOMEM)
 *     fake_stream_data(&fake, "hello", 5);
 *     fake_stream_end(&fake);
 *     ... hand fake.stream to the code under test, run the loop, look at the records ...
 *     fake_stream_free(&fake);                             (once `gone`)
 *
 * The script (data, end, error) happens in order, one step each turn of the loop; data and end wait
 * until the stream is read. Data is delivered in pieces of at most the reader's max. Commands
 * (drain, shutdown_done, break) happen in the loop's next turn, whatever the script waits for.
 */
#include <uv.h>
#include <wstunnel/stream.h>

typedef struct fake_stream_step fake_stream_step_t;

typedef struct fake_stream {
    wst_stream_t *stream;

    /* How it answers; may be changed at any time. */
    int write_status;   /* 0; WST_WAIT: taken, and no drain until scripted; or an error */
    size_t room;        /* at first 65536 */
    bool hold_shutdown; /* shutdown is not done until fake_stream_shutdown_done */
    int shutdown_status;

    /* What was done to it. */
    uint8_t *written; /* all bytes written so far */
    size_t written_len;
    size_t writes; /* calls */
    bool shutdown; /* asked for; always after the last write */
    bool reading;
    size_t read_max;
    size_t starts, stops;
    size_t delivered; /* bytes of the script delivered */
    bool closed;
    int reset_reason; /* 0: closed in an orderly way */
    bool gone;        /* close_cb has run, the stream does not exist any more */

    /* Its own business. */
    wst_ctx_t *ctx;
    uv_idle_t idle;
    fake_stream_step_t *first, *last;
    bool drain_due, shutdown_due;
    int break_due;
    size_t written_size;
} fake_stream_t;

/* 0, or WST_ENOMEM (there is nothing to free then). */
int fake_stream_open(fake_stream_t *fake, wst_ctx_t *ctx);

/* Steps of the script. */
void fake_stream_data(fake_stream_t *fake, const void *data, size_t len);
void fake_stream_end(fake_stream_t *fake);
void fake_stream_error(fake_stream_t *fake, int error);

/* Commands. */
void fake_stream_drain(fake_stream_t *fake); /* write_status is 0 from then on */
void fake_stream_shutdown_done(fake_stream_t *fake);
void fake_stream_break(fake_stream_t *fake, int error);

/* Whether all of the script has happened. */
bool fake_stream_idle(const fake_stream_t *fake);

/* Frees the records; only once `gone`. */
void fake_stream_free(fake_stream_t *fake);

#endif
