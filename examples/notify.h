/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_NOTIFY_H
#define EXAMPLES_NOTIFY_H
/*
 * Tells the service manager that started the program how it fares, by the protocol of sd_notify(3).
 * Without one (no NOTIFY_SOCKET in the environment) all of this does nothing. The caller never
 * waits: a message that the manager's queue does not take is sent again each second.
 */
#include <stddef.h>
#include <uv.h>

enum { NOTIFY_STATUS_MAX = 512 };

/* Writes what the program does at present, for people; it may have texts of peers. */
typedef void (*notify_status_cb)(char out[NOTIFY_STATUS_MAX], void *user_data);

/* Takes NOTIFY_SOCKET out of the environment, for one loop of this process. If the manager watches
 * (WATCHDOG_USEC, WATCHDOG_PID), the loop tells it that it turns, twice in that time. `status` may
 * be NULL. 0 or libuv's error. */
int notify_start(uv_loop_t *loop, notify_status_cb status, void *user_data);

void notify_ready(void);     /* READY=1: at the start, and when a reload is done */
void notify_reloading(void); /* RELOADING=1 */
void notify_stopping(void);  /* STOPPING=1 */

/* What notify_status_cb writes may have changed: it is asked from the loop, and STATUS= sent if it
 * has, at most once a second. */
void notify_changed(void);

/* Where the manager is told; "": there is none. */
const char *notify_address(void);

/* MAINPID=: another process is the service from now on; this one tells no more. */
void notify_hand_over(int pid);

/* Closes the handles, so that the loop can end. */
void notify_end(void);

#endif
