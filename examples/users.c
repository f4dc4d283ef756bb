/* SPDX-License-Identifier: MIT */
/*
 * Users from a database: the fifth chapter of the tutorial.
 *
 *     mkdir users && echo 'open: sesame' >users/alice
 *     ./users 127.0.0.1:8080 users
 *     wstunnel-agent ws://127.0.0.1:8080
 *     curl -x 127.0.0.1:8080 --proxy-user 'alice:open: sesame' --proxy-digest http://intranet/
 *
 * The "database" is a directory: a file for each user, with the password on its first line. It is
 * read for each request, in a thread of libuv's pool, since a disk may be slow; the loop goes on
 * meanwhile. To use a directory service or SQL, change on_work().
 *
 * SIGHUP replaces the access object in use, SIGTERM ends the program.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>
#include <wstunnel/wstunnel.h>

typedef struct app {
    const char *directory;
    wst_ctx_t *ctx;
    wst_server_t *server;
    wst_access_t *access;
    uv_signal_t hangup, terminate;
} app_t;

/* The database ------------------------------------------------------------------------------ */

typedef struct job {
    uv_work_t work;
    wst_access_lookup_t *lookup;
    char path[1024];
    int error; /* errno of the failure, or 0 */
    char password[WST_AUTH_MAX];
} job_t;

/* Runs in another thread, which must not call the library. */
static void on_work(uv_work_t *work) {
    job_t *job = work->data;
    errno = 0;
    FILE *file = fopen(job->path, "r");
    if (file == NULL || fgets(job->password, sizeof(job->password), file) == NULL)
        job->error = errno != 0 ? errno : EIO;
    if (file != NULL)
        fclose(file);
    job->password[strcspn(job->password, "\n")] = '\0';
}

static void wipe(char *text, size_t size) {
    volatile char *at = text;
    while (size-- > 0)
        *at++ = 0;
}

/* Runs in the loop's thread. The request, the access object and the server may be gone. */
static void on_worked(uv_work_t *work, int status) {
    job_t *job = work->data;
    const wst_access_user_t user = {.size = sizeof(user),
                                    .name = wst_access_lookup_name(job->lookup),
                                    .password = job->password};
    if (status == 0 && job->error == 0)
        wst_access_lookup_answer(job->lookup, &user);
    else if (status == 0 && job->error == ENOENT)
        wst_access_lookup_answer(job->lookup, NULL); /* no such user */
    else
        wst_access_lookup_fail(job->lookup);
    wipe(job->password, sizeof(job->password));
    free(job);
}

/* The name comes from the client: it must not lead out of the directory. */
static bool is_file_name(const char *name) {
    return name[0] != '.' && strchr(name, '/') == NULL;
}

static void on_user(wst_access_t *access, wst_access_lookup_t *lookup, void *user_data) {
    app_t *app = user_data;
    const char *name = wst_access_lookup_name(lookup);
    (void)access;
    printf("looking up %s\n", name);
    if (!is_file_name(name)) {
        wst_access_lookup_answer(lookup, NULL);
        return;
    }
    job_t *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        wst_access_lookup_fail(lookup);
        return;
    }
    job->lookup = lookup;
    job->work.data = job;
    snprintf(job->path, sizeof(job->path), "%s/%s", app->directory, name);
    if (uv_queue_work(wst_ctx_loop(app->ctx), &job->work, on_work, on_worked) != 0) {
        wst_access_lookup_fail(lookup);
        free(job);
    }
}

/* The server --------------------------------------------------------------------------------- */

static void on_client_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    wst_access_client_request(((app_t *)user_data)->access, server, request);
}

static void on_choose(wst_server_t *server, wst_request_t *request, void *user_data) {
    wst_access_choose(((app_t *)user_data)->access, server, request);
}

static void on_reached(wst_server_t *server, wst_request_t *request, void *user_data) {
    wst_access_reached(((app_t *)user_data)->access, server, request);
}

static void on_agent_up(wst_server_t *server, wst_remote_t *agent, void *user_data) {
    (void)server, (void)user_data;
    printf("agent %s is there\n", wst_remote_name(agent));
}

static int make_access(app_t *app, wst_access_t **access) {
    const wst_access_options_t options = {
        .size = sizeof(options), .on_user = on_user, .user_data = app};
    return wst_access_new(access, app->ctx, &options, NULL);
}

/* Clients whose user is being looked up get a 503, and retry. */
static void on_hangup(uv_signal_t *handle, int number) {
    app_t *app = handle->data;
    wst_access_t *access;
    (void)number;
    if (make_access(app, &access) != 0)
        return;
    wst_access_free(app->access);
    app->access = access;
    printf("another access object\n");
}

static void on_server_closed(void *user_data) {
    app_t *app = user_data;
    wst_access_free(app->access);
    wst_ctx_close(app->ctx, NULL);
    printf("closed\n");
}

static void on_terminate(uv_signal_t *handle, int number) {
    app_t *app = handle->data;
    (void)number;
    uv_close((uv_handle_t *)&app->hangup, NULL);
    uv_close((uv_handle_t *)&app->terminate, NULL);
    wst_server_close(app->server, on_server_closed);
}

static int start(app_t *app, const char *address) {
    const wst_server_options_t server = {
        .size = sizeof(server),
        .callbacks = &(const wst_server_callbacks_t){.size = sizeof(wst_server_callbacks_t),
                                                     .on_client_request = on_client_request,
                                                     .on_choose = on_choose,
                                                     .on_reached = on_reached,
                                                     .on_agent_up = on_agent_up},
        .user_data = app};
    int status = wst_ctx_new(&app->ctx, uv_default_loop(), NULL);
    if (status == 0)
        status = make_access(app, &app->access);
    if (status == 0)
        status = wst_server_new(&app->server, app->ctx, &server);
    if (status == 0)
        status = wst_server_listen(app->server, address, WST_ROLE_ALL);
    if (status == 0)
        status = uv_signal_init(uv_default_loop(), &app->hangup);
    if (status == 0)
        status = uv_signal_init(uv_default_loop(), &app->terminate);
    app->hangup.data = app->terminate.data = app;
    if (status == 0)
        status = uv_signal_start(&app->hangup, on_hangup, SIGHUP);
    return status == 0 ? uv_signal_start(&app->terminate, on_terminate, SIGTERM) : status;
}

int main(int argc, char **argv) {
    static app_t app;
    if (argc != 3) {
        fprintf(stderr, "usage: users ADDRESS DIRECTORY\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    app.directory = argv[2];
    int status = start(&app, argv[1]);
    if (status != 0) {
        fprintf(stderr, "users: %s\n", wst_strerror(status));
        return 1;
    }
    printf("listening on %s\n", wst_server_address(app.server, 0));
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    uv_loop_close(uv_default_loop());
    return 0;
}
