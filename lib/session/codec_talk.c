/* SPDX-License-Identifier: MIT */
/* Messages of the talk's protocol (codec_talk.h): written directly, read by the scanner. */
#include "codec_talk.h"

#include <string.h>
#include <wstunnel/error.h>

#include "codec_check.h"
#include "digest.h"
#include "json.h"
#include "json_scan.h"

/* Whether the method and its members may be sent. */
static bool is_valid(const wst_message_t *m) {
    switch (m->method) {
    case WST_MSG_HANDSHAKE:
        return wst__dest_is_valid(m->dest);
    case WST_MSG_COMPLETED:
        return true;
    case WST_MSG_COMMUNICATION: /* not empty: the talk's own reader would take that for the end */
        return m->len > 0 && m->len <= WST__TALK_DATA_MAX;
    default:
        return false;
    }
}

int wst__talk_write(const wst_message_t *m, void *buf, size_t cap) {
    wst__json_writer_t w = {buf, (char *)buf + cap, false};
    if (!is_valid(m))
        return WST_EINVAL;
    wst__json_put(&w, "{\"method\":");
    wst__json_put_uint(&w, m->method);
    wst__json_put(&w, ",\"dest\":");
    wst__json_put_string(&w, m->dest);
    wst__json_put(&w, ",\"data\":");
    if (m->method == WST_MSG_COMMUNICATION)
        wst__json_put_base64(&w, m->data, m->len);
    else
        wst__json_put(&w, "null");
    wst__json_put(&w, "}");
    return w.overflow ? WST_EINVAL : (int)(w.at - (char *)buf);
}

static const char *read_dest(wst_message_t *m, wst__json_member_t *member) {
    char *dest;
    size_t len;
    if (!wst__json_member_string(member, &dest, &len))
        return "handshake without a destination";
    m->dest = (wst_str_t){dest, len};
    return wst__dest_is_valid(m->dest) ? NULL : "malformed destination";
}

static const char *read_data(wst_message_t *m, wst__json_member_t *member) {
    char *base64;
    size_t len;
    if (!wst__json_member_string(member, &base64, &len) ||
        !wst__base64_decode((uint8_t *)base64, &m->len, base64, len))
        return "data is not base64";
    m->data = (const uint8_t *)base64;
    return is_valid(m) ? NULL : "communication without data or with too much";
}

int wst__talk_read(wst_message_t *m, char *text, size_t len, const char **why) {
    wst__json_member_t wanted[] = {{"method", NULL, 0}, {"dest", NULL, 0}, {"data", NULL, 0}};
    const char *wrong = wst__json_scan(text, len, wanted, sizeof(wanted) / sizeof(wanted[0]));
    uint64_t method = 0;
    if (wrong == NULL && !wst__json_member_uint(&wanted[0], &method))
        wrong = "method is missing or no number";
    memset(m, 0, sizeof(*m));
    if (wrong == NULL) {
        m->method = (wst_method_t)method;
        switch (method) {
        case WST_MSG_HANDSHAKE:
            wrong = read_dest(m, &wanted[1]);
            break;
        case WST_MSG_COMPLETED:
            break;
        case WST_MSG_COMMUNICATION:
            wrong = read_data(m, &wanted[2]);
            break;
        default:
            wrong = "unknown method";
        }
    }
    if (wrong == NULL)
        return 0;
    *why = wrong;
    return WST_EPROTO;
}
