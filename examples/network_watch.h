/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_NETWORK_WATCH_H
#define EXAMPLES_NETWORK_WATCH_H
/*
 * Notices that this machine's network has changed: an address of an interface that is up has come
 * or gone (but for those of loopback interfaces and link-local ones), or a default route has. The
 * kernel tells it by netlink, on Linux; elsewhere nothing is noticed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct network_watch {
    uv_poll_t poll;
    uv_timer_t timer; /* gathers a burst of changes */
    int fd;           /* -1: it does not run */
    uint64_t addresses;
    bool route; /* a default route has changed, or something that got lost */
    void (*on_change)(void *user_data);
    void *user_data;
} network_watch_t;

/* Starts. `on_change` runs from the loop, about a second after the first change of a burst. The
 * watch does not keep the loop alive. 0; UV_ENOSYS: not on this system; or another error. After an
 * error nothing is noticed. */
int network_watch_start(network_watch_t *watch, uv_loop_t *loop, void (*on_change)(void *user_data),
                        void *user_data);

/* Closes its handles; the struct must stay until the loop has run once more. Harmless if the watch
 * was not started. */
void network_watch_stop(network_watch_t *watch);

#endif
