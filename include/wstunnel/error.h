/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_ERROR_H
#define WSTUNNEL_ERROR_H
/**
 * @file error.h
 * Error codes. Every code is negative. There are three families that never overlap:
 *  - libuv's (UV_ECONNREFUSED, ...; above -4096), passed through unchanged;
 *  - the library's own (from -10001 down);
 *  - reasons why a stream failed (-32000 and below), in the style of JSON-RPC 2.0 section 5.1: the
 *    same numbers travel in `completed`, `reset` and `goaway` messages.
 */
#include <errno.h>
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Name, value and text of the library's own errors. */
#define WST_ERROR_MAP(X)                                                                           \
    X(EPROTO, -10001, "the peer broke the protocol")                                               \
    X(EHTTP, -10002, "malformed HTTP message")                                                     \
    X(EHEADBIG, -10003, "HTTP head too large")                                                     \
    X(ETARGETBIG, -10004, "HTTP request target too long")                                          \
    X(EHANDSHAKE, -10005, "WebSocket opening handshake failed")                                    \
    X(EMSGBIG, -10006, "message too big")                                                          \
    X(EFLOOD, -10007, "the peer sent more than it may make us keep")                               \
    X(ESTATE, -10008, "not possible in this state")                                                \
    X(ENOAGENT, -10009, "no agent")                                                                \
    X(ETIMEOUT, -10010, "deadline passed")                                                         \
    X(EREJECTED, -10011, "the server rejected the connection")                                     \
    X(EWSCLOSED, -10012, "the peer closed the WebSocket")                                          \
    X(EREPLACED, -10013, "replaced by a newer connection")                                         \
    X(EINSECURE, -10014, "refused: reachable from other machines without authentication")          \
    X(EUTF8, -10015, "text is not UTF-8")                                                          \
    X(EPROXY, -10016, "the proxy refused the connection")                                          \
    X(EPROXYAUTH, -10017, "the proxy wants authentication")                                        \
    X(ETLS, -10018, "TLS failed")                                                                  \
    X(ETLSCERT, -10019, "certificate not accepted")                                                \
    X(ETLSTRUNCATED, -10020, "the connection ended without the end of its TLS session")

/** Name, value and text of the reasons for a stream's failure, which travel on the wire. */
#define WST_REASON_MAP(X)                                                                          \
    X(EINTERNAL, -32000, "internal error")                                                         \
    X(EREFUSED, -32001, "connection refused")                                                      \
    X(EUNREACHABLE, -32002, "destination unreachable")                                             \
    X(ENAME, -32003, "name not found")                                                             \
    X(ENAMETIMEOUT, -32004, "name lookup timed out")                                               \
    X(EDIALTIMEOUT, -32005, "connection timed out")                                                \
    X(EDENIED, -32006, "destination not allowed")                                                  \
    X(ELIMIT, -32007, "too many streams")                                                          \
    X(EGOAWAY, -32008, "going away")                                                               \
    X(ERESET, -32009, "connection reset")                                                          \
    X(ECANCELLED, -32010, "cancelled")                                                             \
    X(EIDLE, -32011, "idle for too long")                                                          \
    X(ELOST, -32012, "session lost")                                                               \
    X(EMEMORY, -32013, "out of memory")                                                            \
    X(EFILTERED, -32014, "address not allowed by the side that asked")                             \
    X(EDEST, -32602, "invalid destination")

/** All codes of the library, such as WST_EPROTO. */
enum wst_error {
#define WST_ERROR_ENUM(name, value, text) WST_##name = (value),
    WST_ERROR_MAP(WST_ERROR_ENUM) WST_REASON_MAP(WST_ERROR_ENUM)
#undef WST_ERROR_ENUM
#if defined(_WIN32)
        WST_ENOMEM = -4057,
    WST_EINVAL = -4071
#else
        WST_ENOMEM = -ENOMEM, /**< out of memory; the value of UV_ENOMEM */
    WST_EINVAL = -EINVAL      /**< bad argument; the value of UV_EINVAL */
#endif
};

/**
 * A short English text for a code of any of the three families, without trailing punctuation.
 * Never NULL; the string is static. Unknown codes give "unknown error".
 */
WST_EXTERN const char *wst_strerror(int error);

/**
 * The name of a code, such as "WST_EPROTO", or "ECONNREFUSED" as libuv names its own.
 * Never NULL; the string is static. Unknown codes give "UNKNOWN".
 */
WST_EXTERN const char *wst_err_name(int error);

/** Whether the code is one of WST_REASON_MAP and so may travel on the wire. */
WST_EXTERN bool wst_is_reason(int error);

/**
 * The reason to send to a peer for an error: the code itself if it is a reason, else the nearest
 * one (UV_ECONNREFUSED: WST_EREFUSED, UV_EAI_NONAME: WST_ENAME, ..., otherwise WST_EINTERNAL).
 */
WST_EXTERN int wst_reason_of(int error);

#ifdef __cplusplus
}
#endif
#endif
