/* SPDX-License-Identifier: MIT */
/*
 * Messages as JSON texts (PROTOCOL.md, "JSON"). Written directly. Read by the scanner, which finds
 * the method and the members of a communication, whose data is decoded in place; cJSON makes a tree
 * of the other messages, which are rare.
 */
#include "codec_json.h"

#include <string.h>
#include <wstunnel/error.h>

#include "codec_check.h"
#include "digest.h"
#include "json.h"
#include "json_scan.h"

static void put_number(wst__json_writer_t *w, const char *name, uint64_t value) {
    wst__json_put(w, name);
    wst__json_put_uint(w, value);
}

static void put_member_text(wst__json_writer_t *w, const char *name, wst_str_t text) {
    wst__json_put(w, name);
    wst__json_put_string(w, text);
}

static void put_error(wst__json_writer_t *w, const wst_message_t *m) {
    char clean[WST_ERROR_TEXT_MAX];
    size_t len = wst__error_text_clean(clean, m->error_text);
    put_number(w, ",\"error\":{\"code\":-", (uint64_t)(-(int64_t)m->error));
    put_member_text(w, ",\"message\":", (wst_str_t){clean, len});
    wst__json_put(w, "}");
}

static void put_hello(wst__json_writer_t *w, const wst_hello_t *hello) {
    static const char digits[] = "0123456789abcdef";
    put_number(w, ",\"version\":", hello->version);
    wst__json_put(w, hello->yields ? ",\"features\":[\"yield\"]" : ",\"features\":[]");
    put_number(w, ",\"max_frame\":", hello->max_frame);
    put_number(w, ",\"initial_credit\":", hello->initial_credit);
    put_number(w, ",\"max_streams\":", hello->max_streams);
    if (hello->name.len == 0)
        return;
    put_member_text(w, ",\"name\":", hello->name);
    if (hello->has_instance) {
        char hex[2 * sizeof(hello->instance)];
        for (size_t i = 0; i < sizeof(hex); i++)
            hex[i] = digits[i % 2 == 0 ? hello->instance[i / 2] >> 4 : hello->instance[i / 2] & 15];
        put_member_text(w, ",\"instance\":", (wst_str_t){hex, sizeof(hex)});
    }
    put_number(w, ",\"conn\":", hello->conn);
    put_number(w, ",\"epoch\":", hello->epoch);
}

int wst__message_write_json(const wst_message_t *m, char *buf, size_t cap) {
    wst__json_writer_t w = {buf, buf + cap, false};
    put_number(&w, "{\"method\":", m->method);
    switch (m->method) {
    case WST_MSG_HELLO:
        put_hello(&w, m->hello);
        break;
    case WST_MSG_PING:
    case WST_MSG_PONG:
        put_number(&w, ",\"seq\":", m->seq);
        break;
    case WST_MSG_GOAWAY:
        put_number(&w, ",\"last\":", m->last);
        put_error(&w, m);
        break;
    default:
        put_number(&w, ",\"id\":", m->id);
    }
    if (m->method == WST_MSG_HANDSHAKE)
        put_member_text(&w, ",\"dest\":", m->dest);
    if (m->method == WST_MSG_RESET || (m->method == WST_MSG_COMPLETED && m->error != 0))
        put_error(&w, m);
    if (m->method == WST_MSG_COMPLETED && m->error == 0 && m->address.len > 0)
        put_member_text(&w, ",\"address\":", m->address);
    if (m->method == WST_MSG_COMMUNICATION) {
        wst__json_put(&w, ",\"data\":");
        wst__json_put_base64(&w, m->data, m->len);
    }
    if (m->method == WST_MSG_CREDIT) {
        put_number(&w, ",\"received\":", m->received);
        put_number(&w, ",\"credit\":", m->credit);
    }
    if (m->method == WST_MSG_YIELD)
        put_number(&w, ",\"credit\":", m->credit);
    if (m->method == WST_MSG_END || m->method == WST_MSG_YIELD)
        put_number(&w, ",\"offset\":", m->offset);
    wst__json_put(&w, "}");
    return w.overflow ? WST_EINVAL : (int)(w.at - buf);
}

/* Reading. Functions that return text return NULL or a fault. */

static bool get_number(const wst__json_t *object, const char *name, uint64_t max, uint64_t *out) {
    int64_t value;
    if (!wst__json_integer(wst__json_get(object, name), 0, (int64_t)max, &value))
        return false;
    *out = (uint64_t)value;
    return true;
}

static bool get_u32(const wst__json_t *object, const char *name, uint32_t *out) {
    uint64_t value;
    if (!get_number(object, name, UINT32_MAX, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

/* Copies a string from the tree to the reader, since the tree is freed. A message has only one. */
static bool get_text(wst__json_reader_t *reader, const wst__json_t *object, const char *name,
                     wst_str_t *out) {
    wst_str_t text;
    if (!wst__json_string(wst__json_get(object, name), &text) || text.len > sizeof(reader->string))
        return false;
    memcpy(reader->string, text.ptr, text.len);
    *out = (wst_str_t){reader->string, text.len};
    return true;
}

static const char *read_error(wst__json_reader_t *reader, const wst__json_t *root,
                              wst_message_t *m) {
    const wst__json_t *error = wst__json_get(root, "error");
    int64_t code;
    if (!wst__json_is_object(error))
        return "error is not an object";
    if (!wst__json_integer(wst__json_get(error, "code"), -(int64_t)WST_NUMBER_LIMIT, -1, &code))
        return "error without a negative code";
    m->error = code >= INT32_MIN && wst_is_reason((int)code) ? (int)code : WST_EINTERNAL;
    if (wst__json_get(error, "message") == NULL)
        return NULL;
    if (!get_text(reader, error, "message", &m->error_text) ||
        !wst__error_text_is_valid(m->error_text))
        return "error with a message that is no text or too long";
    return NULL;
}

static const char *read_completed(wst__json_reader_t *reader, const wst__json_t *root,
                                  wst_message_t *m) {
    if (wst__json_get(root, "error") != NULL)
        return read_error(reader, root, m);
    if (wst__json_get(root, "address") != NULL && !get_text(reader, root, "address", &m->address))
        return "completed with a malformed address";
    return NULL;
}

static bool parse_instance(uint8_t instance[16], wst_str_t hex) {
    if (hex.len != 32)
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        char c = hex.ptr[i], lower = (char)(c | 0x20);
        if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'f'))
            return false;
        int digit = c <= '9' ? c - '0' : lower - 'a' + 10;
        instance[i / 2] = (uint8_t)(instance[i / 2] << 4 | digit);
    }
    return true;
}

/* Reads an agent's members; without a name the other three have no meaning. */
static const char *read_agent(wst__json_reader_t *reader, const wst__json_t *root,
                              wst_hello_t *hello) {
    wst_str_t instance;
    const wst__json_t *value = wst__json_get(root, "instance");
    if (wst__json_get(root, "name") == NULL)
        return NULL;
    if (!get_text(reader, root, "name", &hello->name) || hello->name.len == 0)
        return "hello with a malformed name";
    if (value != NULL) {
        if (!wst__json_string(value, &instance) || !parse_instance(hello->instance, instance))
            return "hello with a malformed instance";
        hello->has_instance = true;
    }
    if (wst__json_get(root, "conn") != NULL && !get_u32(root, "conn", &hello->conn))
        return "hello with a conn out of range";
    if (wst__json_get(root, "epoch") != NULL &&
        !get_number(root, "epoch", WST_NUMBER_LIMIT - 1, &hello->epoch))
        return "hello with an epoch out of range";
    return NULL;
}

static const char *read_hello(wst__json_reader_t *reader, const wst__json_t *root,
                              wst_hello_t *hello) {
    const wst__json_t *features = wst__json_get(root, "features");
    if (!get_u32(root, "version", &hello->version) ||
        !get_u32(root, "max_frame", &hello->max_frame) ||
        !get_number(root, "initial_credit", WST_NUMBER_LIMIT - 1, &hello->initial_credit) ||
        !get_u32(root, "max_streams", &hello->max_streams))
        return "hello with a number missing or out of range";
    if (features != NULL && !wst__json_is_array_of_strings(features))
        return "hello with features that are no array of strings";
    hello->yields = features != NULL && wst__json_array_has(features, "yield");
    return read_agent(reader, root, hello);
}

static const char *read_members(wst__json_reader_t *reader, const wst__json_t *root,
                                wst_message_t *m) {
    const uint64_t max = WST_NUMBER_LIMIT - 1;
    const char *number_missing = "a number is missing, malformed or out of range";
    switch (m->method) {
    case WST_MSG_HELLO:
        reader->hello = (wst_hello_t){.size = sizeof(reader->hello)};
        m->hello = &reader->hello;
        return read_hello(reader, root, &reader->hello);
    case WST_MSG_PING:
    case WST_MSG_PONG:
        return get_number(root, "seq", max, &m->seq) ? NULL : number_missing;
    case WST_MSG_GOAWAY:
        if (!get_number(root, "last", max, &m->last))
            return number_missing;
        return read_error(reader, root, m);
    default:
        if (!get_number(root, "id", max, &m->id))
            return number_missing;
    }
    switch (m->method) {
    case WST_MSG_HANDSHAKE:
        return get_text(reader, root, "dest", &m->dest) ? NULL : "malformed destination";
    case WST_MSG_COMPLETED:
        return read_completed(reader, root, m);
    case WST_MSG_CREDIT:
        return get_number(root, "received", max, &m->received) &&
                       get_number(root, "credit", max, &m->credit)
                   ? NULL
                   : number_missing;
    case WST_MSG_END:
        return get_number(root, "offset", max, &m->offset) ? NULL : number_missing;
    case WST_MSG_YIELD:
        return get_number(root, "credit", max, &m->credit) &&
                       get_number(root, "offset", max, &m->offset)
                   ? NULL
                   : number_missing;
    default:
        return read_error(reader, root, m);
    }
}

static int reader_failed(wst__json_reader_t *reader, int status, const char *detail) {
    reader->detail = detail;
    return status;
}

static int finish_reading(wst__json_reader_t *reader, const char *wrong, const wst_message_t *m) {
    if (wrong == NULL)
        wrong = wst__message_check(m);
    return wrong == NULL ? 1 : reader_failed(reader, WST_EPROTO, wrong);
}

static int read_communication(wst__json_reader_t *reader, const wst__json_member_t *id,
                              wst__json_member_t *data, wst_message_t *m) {
    char *base64;
    size_t len;
    if (!wst__json_member_uint(id, &m->id))
        return reader_failed(reader, WST_EPROTO, "stream id out of range");
    if (!wst__json_member_string(data, &base64, &len) ||
        !wst__base64_decode((uint8_t *)base64, &m->len, base64, len))
        return reader_failed(reader, WST_EPROTO, "data is not base64");
    if (m->len > reader->max_frame)
        return reader_failed(reader, WST_EMSGBIG, "more data than max_frame");
    m->data = (const uint8_t *)base64;
    return finish_reading(reader, NULL, m);
}

int wst__message_read_json(wst__json_reader_t *reader, char *text, size_t len, wst_message_t *m) {
    wst__json_member_t wanted[] = {{"method", NULL, 0}, {"id", NULL, 0}, {"data", NULL, 0}};
    const char *wrong = wst__json_scan(text, len, wanted, sizeof(wanted) / sizeof(wanted[0]));
    uint64_t method;
    if (wrong != NULL)
        return reader_failed(reader, WST_EPROTO, wrong);
    if (!wst__json_member_uint(&wanted[0], &method))
        return reader_failed(reader, WST_EPROTO, "method is missing or no number");
    if (method != WST_MSG_COMMUNICATION && len > WST_JSON_CONTROL_MAX)
        return reader_failed(reader, WST_EMSGBIG, "message too long for its method");
    if (method < WST_MSG_HANDSHAKE || method > WST_MSG_YIELD)
        return 0;
    if (wst__method_is_binary(method) && reader->encoding == WST_ENCODING_BINARY)
        return reader_failed(reader, WST_EPROTO, "text message with a method that is binary");

    memset(m, 0, sizeof(*m));
    m->method = (wst_method_t)method;
    if (method == WST_MSG_COMMUNICATION)
        return read_communication(reader, &wanted[1], &wanted[2], m);
    wst__json_t *root;
    int status = wst__json_parse(&root, text, len);
    if (status != 0)
        return reader_failed(reader, status, "no memory for a message");
    wrong = read_members(reader, root, m);
    wst__json_free(root);
    return finish_reading(reader, wrong, m);
}
