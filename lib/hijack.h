/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HIJACK_H
#define WST_LIB_HIJACK_H
/* What a server needs of a hijack beyond the public interface. */
#include <wstunnel/hijack.h>

/* Most bytes kept that come in behind the head while a request is watched. */
enum { WST__WATCH_MAX = 32768 };

/*
 * Watches the connection while the request waits for its answer, instead of reading nothing: if the
 * client resets it, or ends it without a byte behind the head, the request is over and on_done
 * follows. What comes in is kept (then no more is read) and is put back by wst_hijack_take, as is
 * an end behind it.
 */
void wst__hijack_watch(wst_hijack_t *hijack);

#endif
