/* SPDX-License-Identifier: MIT */
/* The names of self-signed certificates, in DER (tls_self.h). */
#include "tls_self.h"
#include "ip.h"
#include "tls_names.h"
#include "tls_x509.h"

#include <string.h>

enum { SEQUENCE = 0x30 };

const uint8_t wst__tls_self_purpose[12] = {SEQUENCE, 10, 0x06, 8,    0x2b, 0x06,
                                           0x01,     5,  5,    0x07, 0x03, 0x01};

/* Writes a tag and a length below 65536; returns how many bytes. */
static size_t put_header(uint8_t *out, unsigned tag, size_t len) {
    size_t at = 0;
    out[at++] = (uint8_t)tag;
    if (len >= 256) {
        out[at++] = 0x82;
        out[at++] = (uint8_t)(len >> 8);
    } else if (len >= 128) {
        out[at++] = 0x81;
    }
    out[at++] = (uint8_t)len;
    return at;
}

static size_t put_item(uint8_t *out, unsigned tag, const void *value, size_t len) {
    size_t at = put_header(out, tag, len);
    memcpy(out + at, value, len);
    return at + len;
}

/* Writes a GeneralName; 0: the name is not valid. */
static size_t put_name(uint8_t *out, const char *name) {
    wst__ip_t ip;
    size_t len = strlen(name);
    if (strchr(name, '%') == NULL && wst__ip_parse(&ip, name, len)) {
        bool v4 = wst__ip_is_v4(&ip);
        return put_item(out, WST__TLS_SAN_IP, ip.bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
    }
    bool wildcard = strncmp(name, "*.", 2) == 0;
    size_t checked = wildcard ? wst__tls_name_len(name + 2, len - 2) : wst__tls_name_len(name, len);
    if (checked == 0 || checked + (wildcard ? 2 : 0) > WST__TLS_NAME_MAX)
        return 0;
    return put_item(out, WST__TLS_SAN_DNS, name, checked + (wildcard ? 2 : 0));
}

/* An issuer needs some name (RFC 5280 section 4.1.2.4). */
static void take_common_name(wst__tls_self_t *self, const char *name) {
    const char *taken = strlen(name) <= WST__TLS_COMMON_NAME_MAX ? name : "self-signed";
    memcpy(self->common_name, taken, strlen(taken) + 1);
}

bool wst__tls_self_names(wst__tls_self_t *self, const char *const *names) {
    uint8_t items[WST__TLS_SELF_SAN_MAX];
    size_t len = 0, count = 0;
    for (; names[count] != NULL; count++) {
        size_t added = count < WST_TLS_SELF_NAMES_MAX ? put_name(items + len, names[count]) : 0;
        if (added == 0)
            return false;
        len += added;
    }
    if (count == 0)
        return false;
    take_common_name(self, names[0]);
    self->san_len = put_item(self->san, SEQUENCE, items, len);
    return true;
}
