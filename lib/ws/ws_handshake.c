/* SPDX-License-Identifier: MIT */
/*
 * Checks of the WebSocket opening handshake, on heads that http.c has parsed. The senders write the
 * heads.
 */
#include "ws_handshake.h"
#include "digest.h"
#include "http_text.h"

#include <string.h>
#include <wstunnel/error.h>

enum { KEY_BYTES = 16 };

void wst__ws_key(char key[WST__WS_KEY_LEN + 1], const uint8_t random[16]) {
    wst__base64_encode(key, random, KEY_BYTES);
}

int wst__ws_accept(char accept[WST__WS_ACCEPT_LEN + 1], wst_str_t key) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* section 1.3 */
    char text[WST__WS_KEY_LEN + sizeof(guid) - 1];
    uint8_t digest[20];
    if (key.len != WST__WS_KEY_LEN)
        return WST_EINVAL;
    memcpy(text, key.ptr, WST__WS_KEY_LEN);
    memcpy(text + WST__WS_KEY_LEN, guid, sizeof(guid) - 1);
    int status = wst__sha1(digest, text, sizeof(text));
    if (status == 0)
        wst__base64_encode(accept, digest, sizeof(digest));
    return status;
}

/* The value of a field that may occur once. *count tells how often it occurs. */
static wst_str_t only(const wst_http_head_t *head, const char *name, size_t *count) {
    wst_str_t value = {NULL, 0};
    *count = 0;
    const wst_http_header_t *field = NULL;
    while ((field = wst_http_header(head, name, field)) != NULL) {
        value = field->value;
        ++*count;
    }
    return value;
}

static bool is_key(wst_str_t value) {
    uint8_t bytes[WST__WS_KEY_LEN / 4 * 3];
    size_t len;
    return value.len == WST__WS_KEY_LEN && wst__base64_decode(bytes, &len, value.ptr, value.len) &&
           len == KEY_BYTES;
}

bool wst__ws_is_upgrade(const wst_http_head_t *request) {
    return wst_str_eq(request->method, "GET") &&
           wst_http_has_token(request, "Upgrade", "websocket");
}

static int refuse_upgrade(int *http_status, int status, const char **why, const char *text) {
    *http_status = status;
    *why = text;
    return WST_EHANDSHAKE;
}

int wst__ws_check_request(const wst_http_head_t *request, char accept[WST__WS_ACCEPT_LEN + 1],
                          int *http_status, const char **why) {
    size_t count;
    /* Section 4.2.1, in its order. */
    if (!wst_str_eq(request->method, "GET"))
        return refuse_upgrade(http_status, 405, why, "a WebSocket is opened by GET");
    if (request->minor_version < 1)
        return refuse_upgrade(http_status, 400, why, "a WebSocket needs HTTP/1.1");
    only(request, "Host", &count);
    if (count != 1)
        return refuse_upgrade(http_status, 400, why, "no Host");
    if (!wst_http_has_token(request, "Upgrade", "websocket"))
        return refuse_upgrade(http_status, 400, why, "no Upgrade: websocket");
    if (!wst_http_has_token(request, "Connection", "upgrade"))
        return refuse_upgrade(http_status, 400, why, "no Connection: Upgrade");
    wst_str_t key = only(request, "Sec-WebSocket-Key", &count);
    if (count != 1 || !is_key(key))
        return refuse_upgrade(http_status, 400, why, "no valid Sec-WebSocket-Key");
    wst_str_t version = only(request, "Sec-WebSocket-Version", &count);
    if (count != 1)
        return refuse_upgrade(http_status, 400, why, "no Sec-WebSocket-Version");
    if (!wst_str_eq(version, "13"))
        return refuse_upgrade(http_status, 426, why, "Sec-WebSocket-Version is not 13");
    /* Bytes behind the head would be taken for frames. */
    if (request->chunked || request->content_length > 0)
        return refuse_upgrade(http_status, 400, why, "upgrade request with a body");
    if (wst__ws_accept(accept, key) != 0)
        return refuse_upgrade(http_status, 500, why, "SHA-1 failed");
    return 0;
}

static bool among(wst_str_t protocol, const char *const *offered) {
    for (; offered != NULL && *offered != NULL; offered++) {
        if (wst_str_eq(protocol, *offered))
            return true;
    }
    return false;
}

static int refuse_answer(const char **why, const char *text) {
    *why = text;
    return WST_EHANDSHAKE;
}

int wst__ws_check_response(const wst_http_head_t *response, const char *key,
                           const char *const *offered, wst_str_t *protocol, const char **why) {
    char expected[WST__WS_ACCEPT_LEN + 1];
    size_t count;
    /* Section 4.1, the list of a client's checks, in its order. */
    if (response->status != 101) {
        *why = "the server did not switch to a WebSocket";
        return WST_EREJECTED;
    }
    wst_str_t upgrade = only(response, "Upgrade", &count);
    if (count != 1 || !wst_str_ieq(upgrade, "websocket"))
        return refuse_answer(why, "no Upgrade: websocket in the answer");
    if (!wst_http_has_token(response, "Connection", "upgrade"))
        return refuse_answer(why, "no Connection: Upgrade in the answer");
    wst_str_t accept = only(response, "Sec-WebSocket-Accept", &count);
    if (wst__ws_accept(expected, (wst_str_t){key, strlen(key)}) != 0)
        return refuse_answer(why, "no valid key");
    if (count != 1 || !wst_str_eq(accept, expected))
        return refuse_answer(why, "wrong Sec-WebSocket-Accept in the answer");
    if (wst_http_header(response, "Sec-WebSocket-Extensions", NULL) != NULL)
        return refuse_answer(why, "extension in the answer, none was offered");
    wst_str_t chosen = only(response, "Sec-WebSocket-Protocol", &count);
    if (count > 1 || (count == 1 && !among(chosen, offered)))
        return refuse_answer(why, "subprotocol in the answer that was not offered");
    *protocol = chosen;
    return 0;
}

/* Whether the request offers the subprotocol, whose case matters, unlike most names in HTTP. */
static bool offers(const wst_http_head_t *request, const char *protocol) {
    const wst_http_header_t *field = NULL;
    while ((field = wst_http_header(request, "Sec-WebSocket-Protocol", field)) != NULL) {
        wst_str_t rest = field->value, element;
        while (wst__http_list_next(&rest, &element)) {
            if (wst_str_eq(element, protocol))
                return true;
        }
    }
    return false;
}

const char *wst__ws_choose_protocol(const wst_http_head_t *request, const char *const *supported) {
    for (; *supported != NULL; supported++) {
        if (offers(request, *supported))
            return *supported;
    }
    return NULL;
}
