/* SPDX-License-Identifier: MIT */
/*
 * Messages as JSON texts (PROTOCOL.md, "JSON"). Written directly. Read by the scanner, which finds
 * the members; texts and data are decoded in place. cJSON makes a tree only of a hello and of a
 * message with an error, whose members are nested; both are rare.
 */
#include "codec_json.h"

#include <string.h>
#include <wstunnel/error.h>

#include "codec_check.h"
#include "digest.h"
#include "json.h"
#include "json_scan.h"
#include "mem.h"

enum { HEX_MAX = 32 }; /* bytes that a message has in hex: a secret */

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

static void put_hex(wst__json_writer_t *w, const char *name, const uint8_t *data, size_t len) {
    char hex[2 * HEX_MAX + 1];
    wst__hex_encode(hex, data, len);
    put_member_text(w, name, (wst_str_t){hex, 2 * len});
    wst__wipe(hex, sizeof(hex));
}

static void put_features(wst__json_writer_t *w, const wst_hello_t *hello) {
    const char *const names[] = {hello->yields ? "yield" : NULL,
                                 hello->networks ? "networks" : NULL,
                                 hello->resumes ? "resume" : NULL, hello->early ? "early" : NULL};
    const char *before = "\"";
    wst__json_put(w, ",\"features\":[");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i] == NULL)
            continue;
        wst__json_put(w, before);
        wst__json_put(w, names[i]);
        wst__json_put(w, "\"");
        before = ",\"";
    }
    wst__json_put(w, "]");
}

static void put_session(wst__json_writer_t *w, const wst_hello_t *hello) {
    if (!hello->resumes || !hello->has_session)
        return;
    put_hex(w, ",\"session\":", hello->session, sizeof(hello->session));
    put_hex(w, ",\"secret\":", hello->secret, sizeof(hello->secret));
    put_number(w, ",\"grace\":", hello->grace_ms);
    wst__json_put(w, hello->resumed ? ",\"resumed\":true" : ",\"resumed\":false");
}

static void put_hello(wst__json_writer_t *w, const wst_hello_t *hello) {
    put_number(w, ",\"version\":", hello->version);
    put_features(w, hello);
    put_number(w, ",\"max_frame\":", hello->max_frame);
    put_number(w, ",\"initial_credit\":", hello->initial_credit);
    put_number(w, ",\"max_streams\":", hello->max_streams);
    put_session(w, hello);
    if (hello->name.len == 0)
        return;
    put_member_text(w, ",\"name\":", hello->name);
    if (hello->has_instance)
        put_hex(w, ",\"instance\":", hello->instance, sizeof(hello->instance));
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
    case WST_MSG_BYE:
        put_error(&w, m);
        break;
    default:
        put_number(&w, ",\"id\":", m->id);
    }
    if (m->method == WST_MSG_HANDSHAKE)
        put_member_text(&w, ",\"dest\":", m->dest);
    if (m->method == WST_MSG_HANDSHAKE && m->networks.len > 0)
        put_member_text(&w, ",\"networks\":", m->networks);
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

/* Copies a string from the tree to the reader, since the tree is freed. A message has only one
 * there. */
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

static bool get_hex(const wst__json_t *object, const char *name, uint8_t *out, size_t len) {
    wst_str_t hex;
    return wst__json_string(wst__json_get(object, name), &hex) && wst__hex_decode(out, len, hex);
}

/* Reads an agent's members; without a name the other three have no meaning. */
static const char *read_agent(wst__json_reader_t *reader, const wst__json_t *root,
                              wst_hello_t *hello) {
    if (wst__json_get(root, "name") == NULL)
        return NULL;
    if (!get_text(reader, root, "name", &hello->name) || hello->name.len == 0)
        return "hello with a malformed name";
    hello->has_instance = wst__json_get(root, "instance") != NULL;
    if (hello->has_instance && !get_hex(root, "instance", hello->instance, sizeof(hello->instance)))
        return "hello with a malformed instance";
    if (wst__json_get(root, "conn") != NULL && !get_u32(root, "conn", &hello->conn))
        return "hello with a conn out of range";
    if (wst__json_get(root, "epoch") != NULL &&
        !get_number(root, "epoch", WST_NUMBER_LIMIT - 1, &hello->epoch))
        return "hello with an epoch out of range";
    return NULL;
}

/* Reads a server's members, which have no meaning without the feature or without `session`. */
static const char *read_session(const wst__json_t *root, wst_hello_t *hello) {
    hello->has_session = hello->resumes && wst__json_get(root, "session") != NULL;
    if (!hello->has_session)
        return NULL;
    if (!get_hex(root, "session", hello->session, sizeof(hello->session)) ||
        !get_hex(root, "secret", hello->secret, sizeof(hello->secret)))
        return "hello with a malformed session or secret";
    if (!get_number(root, "grace", WST_GRACE_MAX_MS, &hello->grace_ms))
        return "hello with a grace missing or out of range";
    if (!wst__json_boolean(wst__json_get(root, "resumed"), &hello->resumed))
        return "hello without a resumed that is true or false";
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
    hello->networks = features != NULL && wst__json_array_has(features, "networks");
    hello->resumes = features != NULL && wst__json_array_has(features, "resume");
    hello->early = features != NULL && wst__json_array_has(features, "early");
    const char *wrong = read_session(root, hello);
    return wrong != NULL ? wrong : read_agent(reader, root, hello);
}

/* The members of all messages but the hello. */
enum { METHOD, ID, SEQ, LAST, DEST, NETWORKS, ADDRESS, ERROR, DATA, RECEIVED, CREDIT, OFFSET };
typedef struct members {
    wst__json_member_t of[OFFSET + 1];
} members_t;

static bool is_absent(const wst__json_member_t *member) {
    return member->value == NULL || member->value[0] == 'n'; /* null */
}

/* Unescapes a text in place. */
static bool take_text(wst__json_member_t *member, wst_str_t *out) {
    char *text;
    size_t len;
    if (!wst__json_member_string(member, &text, &len))
        return false;
    *out = (wst_str_t){text, len};
    return true;
}

static bool take_optional_text(wst__json_member_t *member, wst_str_t *out) {
    return is_absent(member) || take_text(member, out);
}

static const char *read_numbers(const members_t *members, wst_message_t *m) {
    const wst__json_member_t *of = members->of;
    bool right = true;
    switch (m->method) {
    case WST_MSG_HELLO:
    case WST_MSG_BYE:
        return NULL;
    case WST_MSG_PING:
    case WST_MSG_PONG:
        right = wst__json_member_uint(&of[SEQ], &m->seq);
        break;
    case WST_MSG_GOAWAY:
        right = wst__json_member_uint(&of[LAST], &m->last);
        break;
    default:
        right = wst__json_member_uint(&of[ID], &m->id);
    }
    if (m->method == WST_MSG_CREDIT)
        right = right && wst__json_member_uint(&of[RECEIVED], &m->received);
    if (m->method == WST_MSG_CREDIT || m->method == WST_MSG_YIELD)
        right = right && wst__json_member_uint(&of[CREDIT], &m->credit);
    if (m->method == WST_MSG_END || m->method == WST_MSG_YIELD)
        right = right && wst__json_member_uint(&of[OFFSET], &m->offset);
    return right ? NULL : "a number is missing, malformed or out of range";
}

static const char *read_texts(members_t *members, wst_message_t *m) {
    wst__json_member_t *of = members->of;
    if (m->method == WST_MSG_HANDSHAKE && !take_text(&of[DEST], &m->dest))
        return "malformed destination";
    if (m->method == WST_MSG_HANDSHAKE && !take_optional_text(&of[NETWORKS], &m->networks))
        return "handshake with malformed networks";
    if (m->method == WST_MSG_COMPLETED && !take_optional_text(&of[ADDRESS], &m->address))
        return "completed with a malformed address";
    return NULL;
}

static bool needs_tree(const members_t *members, wst_method_t method) {
    return method == WST_MSG_HELLO || method == WST_MSG_RESET || method == WST_MSG_GOAWAY ||
           method == WST_MSG_BYE ||
           (method == WST_MSG_COMPLETED && !is_absent(&members->of[ERROR]));
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

static int read_by_tree(wst__json_reader_t *reader, const char *text, size_t len,
                        wst_message_t *m) {
    wst__json_t *root;
    int status = wst__json_parse(&root, text, len);
    if (status != 0)
        return reader_failed(reader, status, "no memory for a message");
    reader->hello = (wst_hello_t){.size = sizeof(reader->hello)};
    m->hello = m->method == WST_MSG_HELLO ? &reader->hello : NULL;
    const char *wrong =
        m->hello != NULL ? read_hello(reader, root, &reader->hello) : read_error(reader, root, m);
    wst__json_free(root);
    return finish_reading(reader, wrong, m);
}

static int read_communication(wst__json_reader_t *reader, members_t *members, wst_message_t *m) {
    char *base64;
    size_t len;
    if (!wst__json_member_uint(&members->of[ID], &m->id))
        return reader_failed(reader, WST_EPROTO, "stream id out of range");
    if (!wst__json_member_string(&members->of[DATA], &base64, &len) ||
        !wst__base64_decode((uint8_t *)base64, &m->len, base64, len))
        return reader_failed(reader, WST_EPROTO, "data is not base64");
    if (m->len > reader->max_frame)
        return reader_failed(reader, WST_EMSGBIG, "more data than max_frame");
    m->data = (const uint8_t *)base64;
    return finish_reading(reader, NULL, m);
}

int wst__message_read_json(wst__json_reader_t *reader, char *text, size_t len, wst_message_t *m) {
    members_t members = {{[METHOD] = {"method", NULL, 0},
                          [ID] = {"id", NULL, 0},
                          [SEQ] = {"seq", NULL, 0},
                          [LAST] = {"last", NULL, 0},
                          [DEST] = {"dest", NULL, 0},
                          [NETWORKS] = {"networks", NULL, 0},
                          [ADDRESS] = {"address", NULL, 0},
                          [ERROR] = {"error", NULL, 0},
                          [DATA] = {"data", NULL, 0},
                          [RECEIVED] = {"received", NULL, 0},
                          [CREDIT] = {"credit", NULL, 0},
                          [OFFSET] = {"offset", NULL, 0}}};
    const char *wrong = wst__json_scan(text, len, members.of, OFFSET + 1);
    uint64_t method;
    if (wrong != NULL)
        return reader_failed(reader, WST_EPROTO, wrong);
    if (!wst__json_member_uint(&members.of[METHOD], &method))
        return reader_failed(reader, WST_EPROTO, "method is missing or no number");
    if (method != WST_MSG_COMMUNICATION && len > WST_JSON_CONTROL_MAX)
        return reader_failed(reader, WST_EMSGBIG, "message too long for its method");
    if (method < WST_MSG_HANDSHAKE || method > WST_MSG_BYE)
        return 0;
    if (wst__method_is_binary(method) && reader->encoding == WST_ENCODING_BINARY)
        return reader_failed(reader, WST_EPROTO, "text message with a method that is binary");

    memset(m, 0, sizeof(*m));
    m->method = (wst_method_t)method;
    if (method == WST_MSG_COMMUNICATION)
        return read_communication(reader, &members, m);
    wrong = read_numbers(&members, m);
    if (wrong == NULL && needs_tree(&members, m->method))
        return read_by_tree(reader, text, len, m);
    if (wrong == NULL)
        wrong = read_texts(&members, m);
    return finish_reading(reader, wrong, m);
}
