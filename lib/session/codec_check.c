/* SPDX-License-Identifier: MIT */
/* The rules of each message (PROTOCOL.md, "Messages"), for reading and writing alike. */
#include "codec_check.h"

#include <string.h>
#include <wstunnel/error.h>

#include "ip.h"
#include "utf8.h"

bool wst__method_is_binary(uint64_t method) {
    return method == WST_MSG_COMMUNICATION || method == WST_MSG_CREDIT || method == WST_MSG_END ||
           method == WST_MSG_RESET || method == WST_MSG_YIELD;
}

bool wst__dest_is_valid(wst_str_t dest) {
    if (dest.len == 0 || dest.len > WST_DEST_MAX)
        return false;
    for (size_t i = 0; i < dest.len;) {
        uint32_t code;
        size_t n = wst__utf8_get(&code, dest.ptr + i, dest.len - i);
        if (n == 0 || code <= 0x20 || code == 0x7f)
            return false;
        i += n;
    }
    return true;
}

/* Printable ASCII that JSON need not escape. */
static bool are_networks(wst_str_t text) {
    if (text.len > WST_NETWORKS_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c < ' ' || c > '~' || c == '"' || c == '\\')
            return false;
    }
    return true;
}

size_t wst__error_text_clean(char out[WST_ERROR_TEXT_MAX], wst_str_t text) {
    size_t len = 0;
    for (size_t i = 0; i < text.len;) {
        uint32_t code;
        size_t n = wst__utf8_get(&code, text.ptr + i, text.len - i);
        bool right = n > 0 && code != 0;
        if (!right)
            n = 1;
        if (n > WST_ERROR_TEXT_MAX - len)
            break;
        memcpy(out + len, right ? text.ptr + i : "?", n);
        len += n;
        i += n;
    }
    return len;
}

bool wst__error_text_is_valid(wst_str_t text) {
    char clean[WST_ERROR_TEXT_MAX];
    return text.len == 0 || (wst__error_text_clean(clean, text) == text.len &&
                             memcmp(clean, text.ptr, text.len) == 0);
}

static bool is_name(wst_str_t name) {
    if (name.len > WST_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i], lower = (char)(c | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '_' &&
            c != '-')
            return false;
    }
    return true;
}

static const char *check_hello(const wst_hello_t *hello) {
    if (hello->version == 0)
        return "hello with a version out of range";
    if (hello->max_frame < WST_FRAME_MIN_LIMIT || hello->max_frame > WST_FRAME_MAX_LIMIT)
        return "hello with a max_frame out of range";
    if (hello->initial_credit == 0 || hello->initial_credit > UINT64_C(1) << 31)
        return "hello with an initial_credit out of range";
    if (!is_name(hello->name))
        return "hello with a malformed name";
    if (hello->has_session && hello->grace_ms > WST_GRACE_MAX_MS)
        return "hello with a grace out of range";
    if (hello->name.len > 0 && hello->epoch >= WST_NUMBER_LIMIT)
        return "hello with an epoch out of range";
    return NULL;
}

/* The address in an answer without an error; it may be empty. */
static bool is_address(wst_str_t text) {
    wst__ip_t ip;
    return text.len == 0 ||
           (memchr(text.ptr, '%', text.len) == NULL && wst__ip_parse(&ip, text.ptr, text.len));
}

static const char *check_completed(const wst_message_t *m) {
    if (m->error != 0)
        return wst_is_reason(m->error) ? NULL : "not an error code";
    return is_address(m->address) ? NULL : "completed with a malformed address";
}

static const char *check_content(const wst_message_t *m) {
    switch (m->method) {
    case WST_MSG_HANDSHAKE:
        if (!wst__dest_is_valid(m->dest))
            return "malformed destination";
        return are_networks(m->networks) ? NULL : "handshake with malformed networks";
    case WST_MSG_COMPLETED:
        return check_completed(m);
    case WST_MSG_COMMUNICATION:
        return m->len > 0 && m->len <= WST_FRAME_MAX_LIMIT
                   ? NULL
                   : "communication without data or with too much";
    case WST_MSG_HELLO:
        return check_hello(m->hello);
    case WST_MSG_CREDIT:
        return m->received < WST_NUMBER_LIMIT && m->credit < WST_NUMBER_LIMIT
                   ? NULL
                   : "offset out of range";
    case WST_MSG_END:
        return m->offset < WST_NUMBER_LIMIT ? NULL : "offset out of range";
    case WST_MSG_YIELD:
        return m->credit < WST_NUMBER_LIMIT && m->offset <= m->credit ? NULL
                                                                      : "offset out of range";
    case WST_MSG_PING:
    case WST_MSG_PONG:
        return m->seq < WST_NUMBER_LIMIT ? NULL : "seq out of range";
    case WST_MSG_GOAWAY:
        if (m->last >= WST_NUMBER_LIMIT)
            return "last out of range";
        return wst_is_reason(m->error) ? NULL : "not an error code";
    case WST_MSG_RESET:
    case WST_MSG_BYE:
        return wst_is_reason(m->error) ? NULL : "not an error code";
    }
    return "unknown method";
}

const char *wst__message_check(const wst_message_t *m) {
    switch (m->method) {
    case WST_MSG_HELLO:
    case WST_MSG_PING:
    case WST_MSG_PONG:
    case WST_MSG_GOAWAY:
    case WST_MSG_BYE:
        break;
    default:
        if (m->id == 0 || m->id >= WST_NUMBER_LIMIT)
            return "stream id out of range";
    }
    return check_content(m);
}
