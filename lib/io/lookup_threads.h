/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LOOKUP_THREADS_H
#define WST_LIB_LOOKUP_THREADS_H
/*
 * getaddrinfo in threads. The owner, in the loop's thread, submits names and takes the results;
 * threads start when there is work, and end when idle for long or told to. No call waits for
 * getaddrinfo: a thread stuck in it is abandoned, and frees the shared memory when it ends.
 */
#include "list.h"
#include "mem.h"

#include <uv.h>

typedef struct wst__lookup_threads wst__lookup_threads_t;

/* A look-up in the threads. */
typedef struct wst__lookup_job {
    wst__list_t node;
    void *owner; /* the submitter's; not used here */
    uint64_t zone;
    uint64_t begun_ns;     /* 0: waits */
    uint64_t ran_ms;       /* the result: how long it took */
    int status;            /* 0 or libuv's error */
    struct addrinfo *info; /* if status is 0; for freeaddrinfo() */
    char host[];
} wst__lookup_job_t;

/*
 * `allocator` must be safe to use from any thread at any time, even after the owner has let go. At
 * most `limit` threads run; each ends when idle for `idle_ms`. `done` is sent whenever a job has
 * finished. 0, WST_ENOMEM or libuv's error.
 */
int wst__lookup_threads_new(wst__lookup_threads_t **out, const wst_allocator_t *allocator,
                            unsigned limit, uint64_t idle_ms, uv_async_t *done);

/* Frees what it can and abandons busy threads. `done` is not used any more. NULL is allowed. */
void wst__lookup_threads_let_go(wst__lookup_threads_t *threads);

/*
 * Queues a name of a zone (names.h), of which no more look-ups run at a time than its share; jobs
 * of other zones pass those that wait for that. The job belongs to the threads until taken or
 * withdrawn; only `owner` may be read. 0, WST_ENOMEM, or libuv's error if there is no thread and
 * none can be started.
 */
int wst__lookup_threads_submit(wst__lookup_threads_t *threads, wst__lookup_job_t **out,
                               const char *host, uint64_t zone, void *owner);

/* For how long a job that has not been taken has run; 0: no thread has begun it. */
uint64_t wst__lookup_threads_ran_ms(wst__lookup_threads_t *threads, const wst__lookup_job_t *job);

/* Frees a job that no thread has begun, and returns true; else does nothing. */
bool wst__lookup_threads_withdraw(wst__lookup_threads_t *threads, wst__lookup_job_t *job);

/* The next finished job, for wst__lookup_job_free(), or NULL. */
wst__lookup_job_t *wst__lookup_threads_take(wst__lookup_threads_t *threads);

void wst__lookup_job_free(wst__lookup_threads_t *threads, wst__lookup_job_t *job);

/* getaddrinfo for stream sockets, with libuv's error codes. */
int wst__getaddrinfo(struct addrinfo **out, const char *host, int flags);

#endif
