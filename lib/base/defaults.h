/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_DEFAULTS_H
#define WST_LIB_DEFAULTS_H
/*
 * The defaults of options, each in this place only. The comment names the members that a default is
 * of. test/defaults.py compares this with what the public headers, the README and the man pages
 * say.
 */
enum {
    /* Bounds. */
    WST__MAX_CONNECTIONS = 12288,           /* server_limits.max_connections */
    WST__MAX_PENDING_FLOWS = 1024,          /* server_limits.max_pending */
    WST__MAX_PENDING_DESTINATIONS = 256,    /* agent_options.max_pending */
    WST__MAX_STREAMS = 16384,               /* server_limits.max_streams
                                               server_limits.max_agent_streams
                                               agent_options.max_streams */
    WST__MAX_AGENT_SESSIONS = 1024,         /* server_limits.max_agent_sessions */
    WST__MAX_HANDSHAKES = 512,              /* server_limits.max_handshakes */
    WST__MEMORY_BUDGET = 512 * 1024 * 1024, /* ctx_options.memory_budget */
    WST__RESOLVER_THREADS = 256,            /* ctx_options.resolver_threads */
    WST__BACKLOG = 511,                     /* listener_options.backlog */
    WST__SPARE_CONNECTIONS = 1,             /* agent_options.spare_connections */
    WST__MAX_FAILURES = 20,                 /* access_options.max_failures */

    /* Sizes. */
    WST__STREAM_WINDOW = 12288,                /* server_limits.stream_window
                                                  agent_options.stream_window */
    WST__STREAM_WINDOW_MAX = 96 * 1024 * 1024, /* server_limits.stream_window_max
                                               agent_options.stream_window_max */
    WST__MAX_FRAME = 65536,                    /* decoder_options.max_frame */
    WST__MAX_MESSAGE = 1024 * 1024,            /* websocket_options.max_message */
    WST__HEAD_MAX = 16384,                     /* http_limits.head_max */
    WST__TARGET_MAX = 8192,                    /* http_limits.target_max */

    /* Times. */
    WST__STEP_TIMEOUT_MS = 10000,         /* server_limits.tls_timeout_ms
                                             server_limits.head_timeout_ms
                                             server_limits.decision_timeout_ms
                                             server_limits.hello_timeout_ms
                                             agent_options.dial_timeout_ms
                                             agent_options.connect_timeout_ms
                                             dial_options.timeout_ms
                                             proxy_dial_options.timeout_ms
                                             tls_handshake_options.timeout_ms
                                             hijack_options.head_timeout_ms
                                             websocket_options.open_timeout_ms */
    WST__SERVER_DIAL_TIMEOUT_MS = 15000,  /* server_limits.dial_timeout_ms */
    WST__HALF_CLOSED_TIMEOUT_MS = 600000, /* server_limits.half_closed_timeout_ms
                                             agent_options.half_closed_timeout_ms
                                             pump_options.half_closed_timeout_ms */
    WST__PING_INTERVAL_MS = 15000,        /* server_limits.ping_interval_ms
                                             agent_options.ping_interval_ms */
    WST__DEAD_AFTER_MS = 45000,           /* server_limits.dead_after_ms
                                             agent_options.dead_after_ms */
    WST__CLOSE_TIMEOUT_MS = 5000,         /* websocket_options.close_timeout_ms */
    WST__CONNECTIONS = 1,                 /* agent_options.connections */
    WST__BACKOFF_MIN_MS = 500,            /* agent_options.backoff_min_ms */
    WST__BACKOFF_MAX_MS = 30000,          /* agent_options.backoff_max_ms */
    WST__DRAIN_TIMEOUT_MS = 30000,        /* server_limits.drain_timeout_ms
                                             agent_options.drain_timeout_ms */
    WST__RESUME_GRACE_MS = 60000,         /* server_limits.resume_grace_ms */
    WST__PROBE_AFTER_MS = 5000,           /* agent_options.probe_after_ms */
    WST__FILES_CHECK_INTERVAL_MS = 60000, /* tls_files_options.check_interval_ms */
    WST__FAILURE_WINDOW_MS = 60000        /* access_options.failure_window_ms */
};

/* Texts. */
#define WST__AGENTS_PATH    "/websocket" /* server_options.path */
#define WST__REALM          "wstunnel"   /* access_options.realm */
#define WST__WEBSOCKET_PATH "/"          /* websocket_options.path */

#endif
