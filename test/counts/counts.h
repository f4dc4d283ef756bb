/* SPDX-License-Identifier: MIT */
#ifndef TEST_COUNTS_H
#define TEST_COUNTS_H
/* Fixed pieces of work, whose instructions counts.py has counted. Each is done twice, and the
 * second time counts: memory is in its pools then, and names are resolved. */

typedef struct counts_work {
    const char *name;
    void (*open)(void);
    void (*run)(void);
    void (*close)(void);
} counts_work_t;

/* A MiB through a tunnel, session and WebSocket of both ends, over memory: from the server to the
 * agent, and the other way, where frames are masked. 64 bytes there and back, 100 times. */
extern const counts_work_t counts_mib_to_agent, counts_mib_to_server, counts_echo;

/* The connection under 1,000 idle streams is lost, and both ends go on with another one: what each
 * stream is told, and the acknowledgements. */
extern const counts_work_t counts_attach;

/* A CONNECT through a server and an agent on sockets of one loop, 64 bytes echoed, and the end: 10
 * times. */
extern const counts_work_t counts_connect;

/* A TLS record of 16 KiB, and one of 64 bytes, written and read: 16 times. */
extern const counts_work_t counts_tls_record;

#endif
