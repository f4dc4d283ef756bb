/* SPDX-License-Identifier: MIT */
/* What a request is for, and whether it is in order. */
#include "admin.h"

#include <stdio.h>
#include <string.h>

typedef struct route {
    const char *path;
    void (*serve)(wst__admin_conn_t *conn);
    bool is_post, for_all; /* for_all: only for operators of all tenants */
} route_t;

static const route_t server_routes[] = {
    {"/metrics", wst__admin_serve_metrics, false, false},
    {"/status.json", wst__admin_serve_status, false, false},
    {"/end-flow", wst__admin_end_flow, true, false},
    {"/end-agent", wst__admin_end_agent, true, false},
    {"/end-user", wst__admin_end_user, true, false},
    {"/drain", wst__admin_drain, true, true},
    {NULL, NULL, false, false},
};

static const route_t agent_routes[] = {
    {"/metrics", wst__admin_serve_agent_metrics, false, false},
    {"/status.json", wst__admin_serve_agent_status, false, false},
    {"/end-stream", wst__admin_end_stream, true, false},
    {"/reconnect", wst__admin_reconnect, true, false},
    {"/drain", wst__admin_drain, true, false},
    {NULL, NULL, false, false},
};

static void serve_file(wst__admin_conn_t *c) {
    const wst__admin_file_t *f = c->file;
    wst__admin_answer(c, &(wst__admin_answer_t){.status = 200,
                                                .reason = "OK",
                                                .type = f->type,
                                                .fields = "Content-Encoding: gzip\r\n",
                                                .body = {(const char *)f->data, f->len},
                                                .is_static = true});
}

/* False: there is nothing at that path. */
static bool find_route(route_t *out, wst__admin_conn_t *c, wst_str_t path) {
    bool of_agent = c->admin->options.agent != NULL;
    for (const route_t *r = of_agent ? agent_routes : server_routes; r->path != NULL; r++) {
        *out = *r;
        if (wst_str_eq(path, out->path))
            return true;
    }
    for (size_t i = 0; i < wst__admin_file_count; i++) {
        c->file = &wst__admin_files[i];
        *out = (route_t){c->file->path, serve_file, false, false};
        if ((of_agent ? c->file->of_agent : c->file->of_server) && wst_str_eq(path, out->path))
            return true;
    }
    return false;
}

static void refuse(wst__admin_conn_t *c, int status, const char *reason) {
    c->verdict.status = status;
    c->verdict.reason = reason;
}

/* The path of the target, without its query; .ptr NULL: the target is of another form. */
static wst_str_t path_of(const wst_http_head_t *head) {
    wst_http_target_t target;
    if (wst_http_parse_target(&target, head, NULL) != 0 || target.form != WST_HTTP_ORIGIN)
        return (wst_str_t){0};
    const char *query = memchr(target.path.ptr, '?', target.path.len);
    size_t len = query != NULL ? (size_t)(query - target.path.ptr) : target.path.len;
    return (wst_str_t){target.path.ptr, len};
}

/* Whether the form's type is stated; parameters do not matter. */
static bool is_form(const wst_http_head_t *head) {
    static const char form[] = "application/x-www-form-urlencoded";
    const wst_http_header_t *type = wst_http_header(head, "Content-Type", NULL);
    if (type == NULL)
        return false;
    const char *end = memchr(type->value.ptr, ';', type->value.len);
    size_t len = end != NULL ? (size_t)(end - type->value.ptr) : type->value.len;
    while (len > 0 && type->value.ptr[len - 1] == ' ')
        len--;
    return wst_str_ieq((wst_str_t){type->value.ptr, len}, form);
}

static void check_post(wst__admin_conn_t *c, const wst_http_head_t *head, const route_t *route) {
    const char *forged = wst__admin_forged(head);
    if (forged != NULL)
        refuse(c, 403, forged);
    else if (c->viewer.read_only)
        refuse(c, 403, "This account may only read");
    else if (route->for_all && c->viewer.tenant[0] != '\0')
        refuse(c, 403, "This account is for one tenant");
    else if (head->chunked)
        refuse(c, 411, "Length Required");
    else if (head->content_length > WST__ADMIN_FORM_MAX)
        refuse(c, 413, "The form is too long");
    else if (head->content_length > 0 && !is_form(head))
        refuse(c, 415, "Not a form: application/x-www-form-urlencoded");
}

/* Other methods are none of ours, so the path decides. */
static void check_method(wst__admin_conn_t *c, const wst_http_head_t *head, const route_t *route) {
    const char *allowed = route->is_post ? "POST" : "GET, HEAD";
    bool get = wst_str_eq(head->method, "GET") || c->head_only;
    if (route->is_post ? !wst_str_eq(head->method, "POST") : !get) {
        refuse(c, 405, "Method Not Allowed");
        snprintf(c->verdict.fields, sizeof(c->verdict.fields), "Allow: %s\r\n", allowed);
    } else if (route->is_post) {
        check_post(c, head, route);
    }
}

static void find_what(wst__admin_conn_t *c, const wst_http_head_t *head) {
    route_t route;
    wst_str_t path = path_of(head);
    if (path.ptr == NULL) {
        refuse(c, 400, "Bad Request");
    } else if (!find_route(&route, c, path)) {
        refuse(c, 404, "Not Found");
    } else {
        c->serve = route.serve;
        check_method(c, head, &route);
    }
}

void wst__admin_route(wst__admin_conn_t *c, const wst_http_head_t *head) {
    bool has_body = head->chunked || head->content_length > 0;
    c->head_only = wst_str_eq(head->method, "HEAD");
    c->expects_continue =
        head->minor_version > 0 && wst_http_has_token(head, "Expect", "100-continue");
    wst__admin_admit(&c->verdict, c->admin, head, c->peer, &c->viewer);
    if (c->verdict.status == 0)
        find_what(c, head);
    if (has_body && (c->verdict.status != 0 || !wst_str_eq(head->method, "POST")))
        c->keep_alive = false; /* the body is not read */
    else if (has_body)
        c->form_due = (size_t)head->content_length;
}
