/* SPDX-License-Identifier: MIT */
/*
 * What the load generators say to each other through a tunnel, so that each byte can be checked.
 *
 * A client opens with a request of WIRE_REQUEST bytes. What follows depends on its verb:
 *
 *     WIRE_GET   blocks to the client, until it has said one byte, or as many as it asked for
 *     WIRE_PUT   blocks to the origin, which answers WIRE_RECEIPT: whether all of them were right
 *     WIRE_ECHO  the origin repeats what it reads
 *     WIRE_BYE   the origin says WIRE_RIGHT and closes
 *
 * All blocks are alike but for the last, which says how many there were. So a receiver notices a
 * byte that is wrong, missing or too many, and knows the end without a half-close, which not every
 * tunnel passes on.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_BLOCK = 1 << 16,
    WIRE_PIECE = 1 << 18,
    WIRE_REQUEST = 16,
    WIRE_RECEIPT = 1,
    WIRE_GET = 'G',
    WIRE_PUT = 'P',
    WIRE_ECHO = 'E',
    WIRE_BYE = 'B',
    WIRE_RIGHT = '!',
    WIRE_WRONG = '?',
};

/* -- bench_wire.c ---------------------------------------------------------------------------- */

/** Before anything else. */
void wire_init(void);

/** `blocks` 0: until stopped. */
void wire_write_request(uint8_t out[WIRE_REQUEST], int verb, uint64_t blocks);
/** Returns the verb, or -1 if `in` is no request. */
int wire_read_request(const uint8_t in[WIRE_REQUEST], uint64_t *blocks);

typedef struct wire_sender {
    uint64_t position; /* bytes sent */
    uint64_t last;     /* where the last block begins; UINT64_MAX: not known yet */
} wire_sender_t;

void wire_sender_init(wire_sender_t *s, uint64_t blocks);
/** The block after the current one is the last. */
void wire_sender_stop(wire_sender_t *s);
bool wire_sender_done(const wire_sender_t *s);
/** Sends a piece. Returns 0, also if the socket is full, or -1 with errno. */
int wire_send(wire_sender_t *s, int fd);

typedef struct wire_receiver {
    uint64_t position; /* bytes received, all of them right */
    uint64_t last;     /* as a sender's */
} wire_receiver_t;

void wire_receiver_init(wire_receiver_t *r);
bool wire_receiver_done(const wire_receiver_t *r);
/** Returns 0, or -1 if the bytes are not those that were sent. */
int wire_receive(wire_receiver_t *r, const uint8_t *data, size_t len);

/** How much is read or written at once: WIRE_PIECE, or what the program sets, up to that. */
extern size_t wire_piece;
/** What has been read last; each file has one such buffer, for it has one thread. */
extern uint8_t wire_buffer[WIRE_PIECE];
/** Reads into wire_buffer. Returns its length, 0 if there is nothing, -1 at the end or an error. */
int wire_read(int fd);

double wire_now_s(void);
/** "HOST:PORT" with an IPv4 address; exits with a message if it is none. */
struct sockaddr_in wire_address(const char *text);
/** A non-blocking listener. Prints "listening HOST:PORT". */
int wire_listen(const char *text);
/** Raises the limit of descriptors as far as it goes. */
void wire_raise_limits(void);
/** For errors of the machine: prints `what` with errno, and exits. */
_Noreturn void wire_die(const char *what);

#endif
