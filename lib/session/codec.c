/* SPDX-License-Identifier: MIT */
/*
 * Messages to bytes and back (PROTOCOL.md): the entry points, the binary encoding, and gathering
 * of messages that come in pieces.
 *
 *     START --first byte of a binary communication--> HEAD --its id--> PAYLOAD --last piece--+
 *     ^ \---first byte of any other message--> GATHER --last piece---------------------------+
 *     +--------------------------------------------------------------------------------------+
 */
#include "codec.h"

#include "codec_check.h"
#include "codec_json.h"
#include "defaults.h"
#include "mem.h"
#include "sized.h"
#include "varint.h"

#include <string.h>
#include <wstunnel/error.h>

enum { GATHER_MIN = 256 };

typedef enum state { START, HEAD, PAYLOAD, GATHER } state_t;

struct wst_decoder {
    const wst_allocator_t *allocator;
    state_t state;
    wst__varint_t id; /* of the binary communication being received */
    size_t payload;   /* bytes of it received */
    uint8_t *buf;     /* any other message, gathered */
    size_t len, cap, max;
    wst__json_reader_t reader; /* also holds the encoding and max_frame */
    int error;
};

static int write_binary(const wst_message_t *m, uint8_t *buf, size_t cap) {
    uint8_t out[1 + 3 * WST__VARINT_MAX + WST_ERROR_TEXT_MAX];
    size_t len = 0;
    out[len++] = (uint8_t)m->method;
    len += wst__varint_put(out + len, m->id);
    if (m->method == WST_MSG_CREDIT) {
        len += wst__varint_put(out + len, m->received);
        len += wst__varint_put(out + len, m->credit);
    } else if (m->method == WST_MSG_END) {
        len += wst__varint_put(out + len, m->offset);
    } else if (m->method == WST_MSG_YIELD) {
        len += wst__varint_put(out + len, m->credit);
        len += wst__varint_put(out + len, m->offset);
    } else if (m->method == WST_MSG_RESET) {
        len += wst__varint_put(out + len, (uint64_t)(-(int64_t)m->error));
        len += wst__error_text_clean((char *)out + len, m->error_text);
    }
    if (len > cap)
        return WST_EINVAL;
    memcpy(buf, out, len);
    return (int)len;
}

int wst__message_encode(const wst_message_t *message, wst_encoding_t encoding, void *buf,
                        size_t cap, bool *text) {
    bool binary = encoding == WST_ENCODING_BINARY && wst__method_is_binary(message->method);
    if (wst__message_check(message) != NULL)
        return WST_EINVAL;
    int len = binary ? write_binary(message, buf, cap) : wst__message_write_json(message, buf, cap);
    if (len > 0)
        *text = !binary;
    return len;
}

int wst_message_encode(const wst_message_t *given, wst_encoding_t encoding, void *buf, size_t cap,
                       bool *text) {
    wst_message_t message;
    wst_hello_t hello;
    if (wst__sized_read(&message, sizeof(message), given) != 0 ||
        wst__sized_read(&hello, sizeof(hello), message.hello) != 0)
        return WST_EINVAL;
    message.hello = &hello;
    int len = wst__message_encode(&message, encoding, buf, cap, text);
    wst__wipe(hello.secret, sizeof(hello.secret));
    return len;
}

int wst_decoder_new(wst_decoder_t **out, const wst_decoder_options_t *given) {
    wst_decoder_options_t options;
    if (wst__sized_read(&options, sizeof(options), given) != 0)
        return WST_EINVAL;
    const wst_allocator_t *a =
        options.allocator != NULL ? options.allocator : &wst__default_allocator;
    wst_decoder_t *d = wst__zalloc(a, sizeof(*d));
    if (d == NULL)
        return WST_ENOMEM;
    size_t max_frame = options.max_frame != 0 ? options.max_frame : WST__MAX_FRAME;
    if (max_frame > WST_FRAME_MAX_LIMIT)
        max_frame = WST_FRAME_MAX_LIMIT;
    d->allocator = a;
    d->max = WST_JSON_CONTROL_MAX;
    if (options.encoding == WST_ENCODING_JSON && WST_JSON_DATA_MAX(max_frame) > d->max)
        d->max = WST_JSON_DATA_MAX(max_frame);
    d->reader.encoding = options.encoding;
    d->reader.max_frame = max_frame;
    d->reader.detail = "";
    *out = d;
    return 0;
}

void wst_decoder_free(wst_decoder_t *d) {
    if (d == NULL)
        return;
    wst__free(d->allocator, d->buf);
    wst__free(d->allocator, d);
}

static int decoder_failed(wst_decoder_t *d, int status, const char *detail) {
    d->reader.detail = detail;
    return status;
}

static int gather_message(wst_decoder_t *d, const uint8_t *piece, size_t len) {
    if (len > d->max - d->len)
        return decoder_failed(d, WST_EMSGBIG, "message too long");
    if (len > d->cap - d->len) {
        size_t cap = d->cap > GATHER_MIN / 2 ? 2 * d->cap : GATHER_MIN;
        if (cap < d->len + len)
            cap = d->len + len;
        if (cap > d->max)
            cap = d->max;
        uint8_t *buf = wst__realloc_array(d->allocator, d->buf, cap, 1);
        if (buf == NULL)
            return decoder_failed(d, WST_ENOMEM, "no memory for a message");
        d->buf = buf;
        d->cap = cap;
    }
    if (len > 0)
        memcpy(d->buf + d->len, piece, len);
    d->len += len;
    return 0;
}

static const char *read_reset(wst_message_t *m, const uint8_t **at, const uint8_t *end) {
    uint64_t code;
    if (!wst__varint_get(at, end, &code) || code == 0)
        return "malformed error code";
    m->error = code <= INT32_MAX && wst_is_reason(-(int)code) ? -(int)code : WST_EINTERNAL;
    m->error_text = (wst_str_t){(const char *)*at, (size_t)(end - *at)};
    *at = end;
    return wst__error_text_is_valid(m->error_text) ? NULL : "error text not UTF-8 or too long";
}

/* Reads a gathered binary message of at least a byte. */
static int read_binary(wst_decoder_t *d, wst_message_t *m) {
    const uint8_t *at = d->buf, *end = d->buf + d->len;
    uint8_t method = *at++;
    bool right = true;
    const char *wrong = NULL;
    if (method < WST_MSG_HANDSHAKE || method > WST_MSG_BYE)
        return 0;
    if (!wst__method_is_binary(method))
        return decoder_failed(d, WST_EPROTO, "binary message with a method that is text");
    memset(m, 0, sizeof(*m));
    m->method = (wst_method_t)method;
    right = wst__varint_get(&at, end, &m->id);
    if (right && method == WST_MSG_CREDIT)
        right = wst__varint_get(&at, end, &m->received) && wst__varint_get(&at, end, &m->credit);
    else if (right && method == WST_MSG_END)
        right = wst__varint_get(&at, end, &m->offset);
    else if (right && method == WST_MSG_YIELD)
        right = wst__varint_get(&at, end, &m->credit) && wst__varint_get(&at, end, &m->offset);
    else if (right)
        wrong = read_reset(m, &at, end);
    if (!right)
        wrong = "malformed number";
    else if (wrong == NULL)
        wrong = at != end ? "bytes behind the message" : wst__message_check(m);
    return wrong == NULL ? 1 : decoder_failed(d, WST_EPROTO, wrong);
}

/* Takes a piece of a binary communication, behind its first byte. */
static int take_communication(wst_decoder_t *d, const uint8_t *piece, size_t len, bool fin,
                              wst_message_t *m) {
    while (d->state == HEAD && len > 0) {
        int done = wst__varint_take(&d->id, *piece++);
        len--;
        if (done < 0 || (done > 0 && d->id.value == 0))
            return decoder_failed(d, WST_EPROTO, "stream id out of range");
        if (done > 0)
            d->state = PAYLOAD;
    }
    if (len > d->reader.max_frame - d->payload)
        return decoder_failed(d, WST_EMSGBIG, "more data than max_frame");
    d->payload += len;
    if (fin) {
        if (d->payload == 0)
            return decoder_failed(d, WST_EPROTO, "communication without data");
        d->state = START;
    }
    if (len == 0)
        return 0;
    memset(m, 0, sizeof(*m));
    m->method = WST_MSG_COMMUNICATION;
    m->id = d->id.value;
    m->data = piece;
    m->len = len;
    return 1;
}

static int push(wst_decoder_t *d, bool text, const uint8_t *piece, size_t len, bool fin,
                wst_message_t *m) {
    if (d->state == START) {
        if (!text && d->reader.encoding == WST_ENCODING_JSON)
            return decoder_failed(d, WST_EPROTO, "binary message where all are text");
        if (len == 0)
            return fin ? decoder_failed(d, WST_EPROTO, "empty message") : 0;
        if (!text && piece[0] == WST_MSG_COMMUNICATION) {
            d->state = HEAD;
            d->id = (wst__varint_t){0, 0};
            d->payload = 0;
            piece++;
            len--;
        } else {
            d->state = GATHER;
            d->len = 0;
        }
    }
    if (d->state != GATHER)
        return take_communication(d, piece, len, fin, m);
    int status = gather_message(d, piece, len);
    if (status != 0 || !fin)
        return status;
    d->state = START;
    return text ? wst__message_read_json(&d->reader, (char *)d->buf, d->len, m) : read_binary(d, m);
}

int wst__decoder_push(wst_decoder_t *d, bool text, const uint8_t *piece, size_t len, bool fin,
                      wst_message_t *message) {
    if (d->error != 0)
        return d->error;
    int status = push(d, text, piece, len, fin, message);
    message->size = sizeof(*message);
    if (status < 0)
        d->error = status;
    return status;
}

int wst_decoder_push(wst_decoder_t *d, bool text, const uint8_t *piece, size_t len, bool fin,
                     wst_message_t *message) {
    wst_message_t ours;
    if (!wst__sized_valid(message))
        return WST_EINVAL;
    int status = wst__decoder_push(d, text, piece, len, fin, &ours);
    return status == 1 && wst__sized_write(message, &ours) != 0 ? WST_EINVAL : status;
}

const char *wst_decoder_error_detail(const wst_decoder_t *d) {
    return d->reader.detail;
}
