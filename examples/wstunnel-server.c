/* SPDX-License-Identifier: MIT */
/* The server as a program: options, who may do what, and the end. */
#include "program.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTENERS_MAX = 16, USERS_MAX = 1024, SECRET_MAX = 256 };

static const char usage[] =
    "usage: wstunnel-server [options]\n"
    "Joins clients of an HTTP proxy (CONNECT) with agents that have dialled in by WebSocket.\n"
    "\n"
    "  --listen ADDR[,ROLE...]   listen on HOST:PORT, :PORT or unix:/PATH; may be repeated\n"
    "                            (default 127.0.0.1:8080). Roles: connect, agents, health\n"
    "                            (default all)\n"
    "  --path PATH               where agents connect (default /websocket)\n"
    "  --protocol PROTOCOL       what agents speak: wstunnel (default) or talk: that of the Go\n"
    "                            Conference 2022 talk\n"
    "  --agent-token-file FILE   agents must present the token on the first line of FILE\n"
    "  --user-file FILE          clients must authenticate (Basic) as one of the users in FILE:\n"
    "                            one NAME:PASSWORD a line, lines that begin with # are skipped\n"
    "  --insecure-open           listen beyond this machine even without authentication\n"
    "  --log-level LEVEL         error, warn, info (default) or debug\n"
    "  --help, --version\n"
    "\n"
    "SIGINT and SIGTERM let open tunnels finish for up to 30 s; a second one breaks them off.\n";

typedef struct user {
    char name[SECRET_MAX];
    char password[SECRET_MAX];
} user_t;

typedef struct state {
    program_t program;
    wst_server_t *server;
    struct {
        char *address;
        unsigned roles;
    } listen[LISTENERS_MAX];
    size_t listen_count;
    const char *path, *token_file, *user_file;
    char token[SECRET_MAX];
    user_t *users;
    size_t user_count;
    wst_protocol_t protocol;
    bool insecure_open;
    wst_log_level_t level;
} state_t;

/* -- Who may do what -------------------------------------------------------------------------- */

static void on_agent_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    (void)server;
    const state_t *s = user_data;
    if (wst_auth_bearer_matches(wst_request_head(request), s->token))
        wst_request_allow(request);
    else
        wst_request_deny(request, 401, "Unauthorized: a valid agent token is required",
                         "WWW-Authenticate: Bearer\r\n");
}

/* Looks at all users, so that the time does not tell which names exist. */
static const user_t *find_user(const state_t *s, const wst_auth_basic_t *given) {
    const user_t *found = NULL;
    for (size_t i = 0; i < s->user_count; i++) {
        bool name = wst_auth_equal(s->users[i].name, given->user);
        bool password = wst_auth_equal(s->users[i].password, given->password);
        if (name && password)
            found = &s->users[i];
    }
    return found;
}

static void on_client_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    (void)server;
    const state_t *s = user_data;
    wst_auth_basic_t given;
    const user_t *user = NULL;
    if (wst_auth_basic_parse(&given, wst_request_head(request), "Proxy-Authorization"))
        user = find_user(s, &given);
    memset(&given, 0, sizeof(given));
    if (user != NULL) {
        wst_request_set_user(request, user->name);
        wst_request_allow(request);
    } else {
        wst_request_deny(request, 407, "Proxy Authentication Required",
                         "Proxy-Authenticate: Basic realm=\"wstunnel\", charset=\"UTF-8\"\r\n");
    }
}

/* -- What happens ----------------------------------------------------------------------------- */

static void on_stream_open(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    program_log(WST_LOG_INFO, "tunnel %llu open: %s%s%s to %s through %s, dialled in %llu ms",
                (unsigned long long)info->id, info->user, info->user[0] != '\0' ? " at " : "",
                info->client, info->destination, info->agent, (unsigned long long)info->dial_ms);
}

static void on_stream_close(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    (void)server, (void)user_data;
    program_log(WST_LOG_INFO,
                "tunnel %llu over: %s by the %s after %llu ms, %llu bytes to the "
                "agent, %llu to the client",
                (unsigned long long)info->id,
                info->status == 0 ? "ended" : wst_strerror(info->status), info->ended_by,
                (unsigned long long)info->duration_ms, (unsigned long long)info->bytes_to_agent,
                (unsigned long long)info->bytes_to_client);
}

/* -- The end ---------------------------------------------------------------------------------- */

static void on_server_closed(void *user_data) {
    state_t *s = user_data;
    program_finish(&s->program);
}

static void on_drained(wst_server_t *server, void *user_data) {
    (void)user_data;
    wst_server_close(server, on_server_closed);
}

static void on_stop(void *user_data, bool now) {
    state_t *s = user_data;
    if (now)
        wst_server_close(s->server, on_server_closed);
    else
        wst_server_drain(s->server);
}

/* -- Options ---------------------------------------------------------------------------------- */

/* "ADDR[,role...]"; cuts the text at its commas. */
static bool add_listen(state_t *s, char *text) {
    if (s->listen_count == LISTENERS_MAX) {
        fprintf(stderr, "wstunnel-server: more than %d --listen\n", LISTENERS_MAX);
        return false;
    }
    char *rest = NULL;
    unsigned roles = 0;
    char *address = strtok_r(text, ",", &rest);
    for (char *role = strtok_r(NULL, ",", &rest); role != NULL; role = strtok_r(NULL, ",", &rest)) {
        if (strcmp(role, "connect") == 0) {
            roles |= WST_ROLE_CONNECT;
        } else if (strcmp(role, "agents") == 0) {
            roles |= WST_ROLE_AGENTS;
        } else if (strcmp(role, "health") == 0) {
            roles |= WST_ROLE_HEALTH;
        } else {
            fprintf(stderr, "wstunnel-server: unknown role '%s' (connect, agents, health)\n", role);
            return false;
        }
    }
    if (address == NULL) {
        fprintf(stderr, "wstunnel-server: --listen needs an address\n");
        return false;
    }
    s->listen[s->listen_count].address = address;
    s->listen[s->listen_count++].roles = roles;
    return true;
}

static bool read_users(state_t *s, const char *path) {
    FILE *file = fopen(path, "r");
    s->users = calloc(USERS_MAX, sizeof(*s->users));
    if (file == NULL || s->users == NULL) {
        program_log(WST_LOG_ERROR, "cannot read %s", path);
        if (file != NULL)
            fclose(file);
        return false;
    }
    char line[2 * SECRET_MAX];
    unsigned number = 0;
    bool ok = true;
    while (ok && fgets(line, sizeof(line), file) != NULL) {
        number++;
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        const char *colon = strchr(line, ':');
        ok = colon != NULL && colon > line && colon - line < SECRET_MAX &&
             strlen(colon + 1) < SECRET_MAX && colon[1] != '\0' && s->user_count < USERS_MAX;
        if (ok) {
            user_t *u = &s->users[s->user_count++];
            snprintf(u->name, sizeof(u->name), "%.*s", (int)(colon - line), line);
            snprintf(u->password, sizeof(u->password), "%s", colon + 1);
        }
    }
    fclose(file);
    if (!ok)
        program_log(WST_LOG_ERROR,
                    "%s:%u: not NAME:PASSWORD (each shorter than %d bytes), or more than %d users",
                    path, number, SECRET_MAX, USERS_MAX);
    else if (s->user_count == 0)
        program_log(WST_LOG_ERROR, "%s: no users in it", path);
    memset(line, 0, sizeof(line));
    return ok && s->user_count > 0;
}

/* Whether to go on; if not, *status is the exit status. */
static bool parse_options(state_t *s, int argc, char **argv, int *status) {
    enum { LISTEN = 256, PATH, PROTOCOL, TOKEN, USERS, OPEN, LEVEL, HELP, VERSION };
    static const struct option options[] = {{"listen", required_argument, NULL, LISTEN},
                                            {"path", required_argument, NULL, PATH},
                                            {"protocol", required_argument, NULL, PROTOCOL},
                                            {"agent-token-file", required_argument, NULL, TOKEN},
                                            {"user-file", required_argument, NULL, USERS},
                                            {"insecure-open", no_argument, NULL, OPEN},
                                            {"log-level", required_argument, NULL, LEVEL},
                                            {"help", no_argument, NULL, HELP},
                                            {"version", no_argument, NULL, VERSION},
                                            {0}};
    *status = 2;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case LISTEN:
            if (!add_listen(s, optarg))
                return false;
            break;
        case PATH:
            s->path = optarg;
            break;
        case PROTOCOL:
            if (!program_parse_protocol(&s->protocol, optarg)) {
                fprintf(stderr, "wstunnel-server: unknown protocol '%s'\n", optarg);
                return false;
            }
            break;
        case TOKEN:
            s->token_file = optarg;
            break;
        case USERS:
            s->user_file = optarg;
            break;
        case OPEN:
            s->insecure_open = true;
            break;
        case LEVEL:
            if (!program_parse_level(&s->level, optarg)) {
                fprintf(stderr, "wstunnel-server: unknown log level '%s'\n", optarg);
                return false;
            }
            break;
        case HELP:
            fputs(usage, stdout);
            *status = 0;
            return false;
        case VERSION:
            printf("wstunnel-server %s\n", wst_version());
            *status = 0;
            return false;
        default:
            fputs("Try wstunnel-server --help\n", stderr);
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "wstunnel-server: unexpected argument '%s'\n", argv[optind]);
        return false;
    }
    return true;
}

static int listen_all(state_t *s) {
    static char fallback[] = "127.0.0.1:8080";
    if (s->listen_count == 0)
        s->listen[s->listen_count++].address = fallback;
    for (size_t i = 0; i < s->listen_count; i++) {
        int status = wst_server_listen(s->server, s->listen[i].address, s->listen[i].roles);
        if (status != 0) {
            program_log(WST_LOG_ERROR, "cannot listen on %s: %s", s->listen[i].address,
                        wst_strerror(status));
            if (status == WST_EINSECURE)
                program_log(WST_LOG_ERROR, "give --agent-token-file and --user-file for the roles "
                                           "it offers, or --insecure-open");
            return status;
        }
        program_log(WST_LOG_INFO, "listening on %s", wst_server_address(s->server, i));
    }
    return 0;
}

int main(int argc, char **argv) {
    static state_t s = {.level = WST_LOG_INFO};
    int status;
    if (!parse_options(&s, argc, argv, &status))
        return status;
    if (s.token_file != NULL && !program_read_secret(s.token, sizeof(s.token), s.token_file))
        return 1;
    if (s.user_file != NULL && !read_users(&s, s.user_file))
        return 1;
    status = program_init(&s.program, s.level, on_stop, &s);
    const wst_server_options_t options = {
        .callbacks = {.on_agent_request = s.token_file != NULL ? on_agent_request : NULL,
                      .on_client_request = s.user_file != NULL ? on_client_request : NULL,
                      .on_stream_open = s.level >= WST_LOG_INFO ? on_stream_open : NULL,
                      .on_stream_close = s.level >= WST_LOG_INFO ? on_stream_close : NULL,
                      .on_drained = on_drained},
        .user_data = &s,
        .protocol = s.protocol,
        .path = s.path,
        .allow_open = s.insecure_open};
    if (status == 0)
        status = wst_server_new(&s.server, s.program.ctx, &options);
    if (status != 0) {
        program_log(WST_LOG_ERROR, "cannot start: %s", wst_strerror(status));
        return 1;
    }
    int started = listen_all(&s);
    if (started != 0)
        wst_server_close(s.server, on_server_closed);
    uv_run(&s.program.loop, UV_RUN_DEFAULT);
    uv_loop_close(&s.program.loop);
    free(s.users);
    return started == 0 ? s.program.exit_status : 1;
}
