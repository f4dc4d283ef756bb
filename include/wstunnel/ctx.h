/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_CTX_H
#define WSTUNNEL_CTX_H
/**
 * @file ctx.h
 * The context: shared state of the handles of one libuv loop (allocator, chunks, deadlines,
 * resolver, memory budget, log). Create it first, close it last. There is no other shared state; a
 * program may have several contexts, each used from the thread of its own loop.
 *
 * The library leaves signal dispositions alone: the host must ignore SIGPIPE
 * (`signal(SIGPIPE, SIG_IGN)`), since libuv writes to sockets without MSG_NOSIGNAL.
 */
#include <wstunnel/chunk.h>
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;

/** Severity of a log line. */
typedef enum wst_log_level {
    WST_LOG_ERROR = 0, /**< something does not work */
    WST_LOG_WARN = 1,  /**< works, but needs a look */
    WST_LOG_INFO = 2,  /**< normal events: an agent connects or leaves */
    WST_LOG_DEBUG = 3  /**< each step */
} wst_log_level_t;

/**
 * Receives log lines: terminated UTF-8 without a line end, escaped by wst_log_escape(), never any
 * payload or secret. Runs inside library calls and must not call the library.
 */
typedef void (*wst_log_cb)(wst_log_level_t level, const char *line, void *user_data);

/** A look-up of a name by the hook of wst_ctx_options. */
typedef struct wst_lookup wst_lookup_t;

/**
 * Replaces the resolver: look up `host` (a name, never an IP literal) and call wst_lookup_answer()
 * (resolver.h) once, now or later, from the loop's thread. Callers that wait for the same name
 * share a look-up, which is not cancelled when they are.
 */
typedef void (*wst_resolve_hook)(wst_lookup_t *lookup, const char *host, void *user_data);

/** Options of a context; every member may be left zero. */
typedef struct wst_ctx_options {
    size_t size;                      /**< sizeof the struct (common.h) */
    const wst_allocator_t *allocator; /**< Optional (default malloc and friends). Copied. */
    size_t memory_budget;      /**< Optional (default 512 MiB, or half of the memory if that is
                                    less: of the machine, or of the container if libuv can tell;
                                    libuv 1.44 knows cgroup v1 only). Most memory that the streams
                                    of all sessions may pin; a stream that would exceed it is
                                    refused with WST_EMEMORY. A quarter may be lent to windows
                                    that grow (stream_window_max of server and agent). Beside it
                                    a server takes half as much for new connections (server.h). */
    unsigned resolver_threads; /**< Optional (default 256, at most 1024). Most look-ups running
                                    at a time; threads start when needed, end when idle. An agent
                                    needs as many as it opens destinations at a time (max_pending
                                    in agent.h): servers see to it that no user has more than
                                    two thirds of that. */
    wst_log_cb log;            /**< Optional (default: no log). */
    wst_log_level_t log_level; /**< Optional (default WST_LOG_ERROR). Lines above it are dropped. */
    wst_resolve_hook resolve;  /**< Optional (default: getaddrinfo in threads). */
    void *user_data;           /**< For the callbacks here and close_cb. */
} wst_ctx_options_t;

/**
 * Makes a context on a loop, which is borrowed until close_cb has run.
 * @param options  NULL: all defaults
 * @return 0, WST_ENOMEM, or libuv's error.
 */
WST_EXTERN WST_MUST_CHECK int wst_ctx_new(wst_ctx_t **out, struct uv_loop_s *loop,
                                          const wst_ctx_options_t *options);

/**
 * Closes the context. It waits for the handles and requests that still exist (close those too),
 * then runs `close_cb` (may be NULL) and is freed. A name look-up that hangs in the system does not
 * delay this.
 */
WST_EXTERN void wst_ctx_close(wst_ctx_t *ctx, wst_close_cb close_cb);

/**
 * Writes a text for a line of a log or a terminal, and terminates it. Control characters (C0, DEL,
 * C1), separators of lines and paragraphs, and characters that change the direction of text (U+202E
 * and the like) become "\u202e"; each byte that is not UTF-8 becomes "\xff". A backslash of the
 * text stays as it is, so a text escaped twice is the same. A text that does not fit is cut between
 * two characters; 6 * len + 1 bytes suffice for any text.
 * @param size  bytes of `out`, at least 1
 * @return the number of bytes written, without the terminator.
 */
WST_EXTERN size_t wst_log_escape(char *out, size_t size, const char *text, size_t len);

/** Changes the log level. */
WST_EXTERN void wst_ctx_set_log_level(wst_ctx_t *ctx, wst_log_level_t level);

/**
 * Logs a line, as the library does: escaped by wst_log_escape() and cut at 511 bytes. Does nothing
 * above the log level. Keep payload and secrets out of the line.
 */
WST_EXTERN void wst_ctx_log(wst_ctx_t *ctx, wst_log_level_t level, const char *fmt, ...)
    WST_PRINTF(3, 4);

/** The context's loop. */
WST_EXTERN struct uv_loop_s *wst_ctx_loop(const wst_ctx_t *ctx);

/** The loop's time in milliseconds (uv_now): the clock of all deadlines. */
WST_EXTERN uint64_t wst_ctx_now(const wst_ctx_t *ctx);

/** The context's allocator; valid as long as the context. Never NULL. */
WST_EXTERN const wst_allocator_t *wst_ctx_allocator(const wst_ctx_t *ctx);

/**
 * Figures of a context: memory in bytes, live objects, and the turns of its loop.
 *
 * A turn is what the loop does between two waits for events: the callbacks of the library and of
 * the host, of all contexts on the loop. Other connections wait meanwhile, so the length of a turn
 * is the loop's lag. A turn counts when it has ended; the first one follows the loop's first wait.
 * The time between two calls of uv_run() counts as part of a turn. Not included are callbacks of
 * uv_prepare_t handles that the host started before it made the context, and up to 2 ms of the
 * host's own callbacks for I/O that run before the library's in a turn.
 */
typedef struct wst_ctx_stats {
    size_t size;              /**< sizeof the struct (common.h) */
    size_t budget_limit;      /**< see wst_ctx_options */
    size_t budget_used;       /**< reserved by the streams open now */
    size_t chunks;            /**< chunks in use now */
    size_t handles;           /**< handles and requests not yet gone */
    uint64_t turns;           /**< turns since the context was made; never reset */
    uint64_t turns_over_1ms;  /**< turns longer than 1 ms; never reset */
    uint64_t turns_over_10ms; /**< turns longer than 10 ms; never reset */
    uint64_t turn_max_us;     /**< the longest turn since the context was made, in microseconds */
    uint64_t turn_peak_us;    /**< the longest turn since wst_ctx_reset_turn_peak() */
    size_t names;             /**< names being looked up now, in the resolver of the context */
} wst_ctx_stats_t;

/** Fills in the figures; resets none. @return 0; WST_EINVAL: `stats->size` is not set. */
WST_EXTERN int wst_ctx_get_stats(const wst_ctx_t *ctx, wst_ctx_stats_t *stats);

/**
 * Sets turn_peak_us to 0: after each reading, say, or before a measurement. The turn that is
 * running counts for the new peak when it ends.
 */
WST_EXTERN void wst_ctx_reset_turn_peak(wst_ctx_t *ctx);

#ifdef __cplusplus
}
#endif
#endif
