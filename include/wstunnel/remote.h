/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_REMOTE_H
#define WSTUNNEL_REMOTE_H
/**
 * @file remote.h
 * An agent as a server sees it: one process, a name and an instance, with one session or several. A
 * pointer to it is valid until on_agent_down (server.h) has returned.
 */
#include <wstunnel/request.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Its name. */
WST_EXTERN const char *wst_remote_name(const wst_remote_t *agent);
/** Whose it is: wst_request_set_tenant, or "". */
WST_EXTERN const char *wst_remote_tenant(const wst_remote_t *agent);
/** Its instance, 32 hex digits; another run of the same agent has another one. */
WST_EXTERN const char *wst_remote_instance(const wst_remote_t *agent);
/** Its labels, NULL-terminated: wst_request_set_labels of its newest session. Valid until the next
    session of the agent comes. */
WST_EXTERN const char *const *wst_remote_labels(const wst_remote_t *agent);
/** Where its newest session comes from; see wst_stream_peer. */
WST_EXTERN const char *wst_remote_peer(const wst_remote_t *agent);
/** Sessions that it has. */
WST_EXTERN size_t wst_remote_sessions(const wst_remote_t *agent);
/** Streams open or opening now. */
WST_EXTERN size_t wst_remote_streams(const wst_remote_t *agent);
/** Round-trip time of its newest ping answered, 0: none yet. */
WST_EXTERN uint64_t wst_remote_rtt_ms(const wst_remote_t *agent);
/** Whether it takes streams: not draining, not full. */
WST_EXTERN bool wst_remote_is_ready(const wst_remote_t *agent);
/** Data of the embedder. */
WST_EXTERN void wst_remote_set_data(wst_remote_t *agent, void *data);
WST_EXTERN void *wst_remote_data(const wst_remote_t *agent);

#ifdef __cplusplus
}
#endif
#endif
