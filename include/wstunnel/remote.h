/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_REMOTE_H
#define WSTUNNEL_REMOTE_H
/**
 * @file remote.h
 * An agent as a server sees it: one process, a name and an instance, with one session or several. A
 * pointer to an agent is valid until on_agent_down (server.h) has returned.
 */
#include <wstunnel/request.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The agent's name. */
WST_EXTERN const char *wst_remote_name(const wst_remote_t *agent);
/** The agent's tenant: wst_request_set_tenant, or "". */
WST_EXTERN const char *wst_remote_tenant(const wst_remote_t *agent);
/** The agent's instance, 32 hex digits; each run of an agent has a new one. */
WST_EXTERN const char *wst_remote_instance(const wst_remote_t *agent);
/** The agent's labels, NULL-terminated: wst_request_set_labels of its newest session. Valid until
    the agent's next session. */
WST_EXTERN const char *const *wst_remote_labels(const wst_remote_t *agent);
/** Address of the peer of its newest session; see wst_stream_peer. */
WST_EXTERN const char *wst_remote_peer(const wst_remote_t *agent);
/** Number of sessions. */
WST_EXTERN size_t wst_remote_sessions(const wst_remote_t *agent);
/** Streams open or opening now. */
WST_EXTERN size_t wst_remote_streams(const wst_remote_t *agent);
/** Round-trip time of its latest answered ping; 0: none yet. */
WST_EXTERN uint64_t wst_remote_rtt_ms(const wst_remote_t *agent);
/** The software of its newest session: the User-Agent of its upgrade request as far as it is
    printable ASCII, at most 47 characters; "": not told. Not verified. */
WST_EXTERN const char *wst_remote_software(const wst_remote_t *agent);
/** Since its first session was up. */
WST_EXTERN uint64_t wst_remote_uptime_ms(const wst_remote_t *agent);
/** Bytes of its streams so far, from clients to the agent. */
WST_EXTERN uint64_t wst_remote_bytes_to_agent(const wst_remote_t *agent);
/** Bytes of its streams so far, from the agent to clients. */
WST_EXTERN uint64_t wst_remote_bytes_to_client(const wst_remote_t *agent);
/** Whether the agent takes streams: not draining, not full. */
WST_EXTERN bool wst_remote_is_ready(const wst_remote_t *agent);
/** Whether no session of the agent has a connection now, but one may come back. */
WST_EXTERN bool wst_remote_is_suspended(const wst_remote_t *agent);
/** Sets a pointer of the embedder's own; NULL at first. */
WST_EXTERN void wst_remote_set_data(wst_remote_t *agent, void *data);
/** The pointer of wst_remote_set_data(). */
WST_EXTERN void *wst_remote_data(const wst_remote_t *agent);

#ifdef __cplusplus
}
#endif
#endif
