/* SPDX-License-Identifier: MIT */
#ifndef TEST_TLS_RIG_H
#define TEST_TLS_RIG_H
/* Two connections of the TLS engine, joined by memory. */
#include "support.h"
#include "tls_certs.h"
#include "tls_engine.h"

typedef struct tls_end tls_end_t;

/* One of the two. What it writes piles up in `sent`; what it sees of the other's is up to the test.
 */
struct tls_end {
    wst__tls_conn_t *conn;
    uint8_t *sent;
    size_t sent_len, sent_size;
    tls_end_t *peer;
    size_t pulled;   /* bytes of peer->sent taken */
    size_t visible;  /* how many of them it can see */
    int push_status; /* what push answers */
    int status;      /* of the handshake: at first WST__TLS_AGAIN */
};

extern const wst__tls_io_t tls_end_io; /* with a tls_end_t */

typedef struct tls_rig {
    tls_end_t client, server;
} tls_rig_t;

/* Joins a connection of each engine. 0 or the error of making one (nothing is to be closed then).
 */
int tls_rig_open(tls_rig_t *rig, wst__tls_engine_t *client, wst__tls_engine_t *server,
                 const char *server_name, const char *sni);
void tls_rig_close(tls_rig_t *rig);

/* Does the handshake, `step` bytes at a time (0: all there is), until both are done, one has failed
 * and the other one knows, or nothing moves. */
void tls_rig_shake(tls_rig_t *rig, size_t step);

/* Lets an end see all that the other one has sent. */
void tls_end_see(tls_end_t *end);

/* Writes `len` bytes of a pattern that begins with `seed`; 0 or the error. */
int tls_end_write(tls_end_t *end, uint8_t seed, size_t len);

/* Reads until there is no more, checking the pattern; adds to `*len`. The last status. */
int tls_end_read(tls_end_t *end, uint8_t seed, size_t *len);

/* Why an end failed. */
const char *tls_end_failure(const tls_end_t *end);

/* The pattern. */
uint8_t tls_pattern(uint8_t seed, size_t offset);

#endif
