/* SPDX-License-Identifier: MIT */
/* Reading a certificate's DER (tls_x509.h). */
#include "tls_x509.h"

#include <string.h>

enum {
    TAG_BOOLEAN = 0x01,
    TAG_INTEGER = 0x02,
    TAG_BIT_STRING = 0x03,
    TAG_OCTET_STRING = 0x04,
    TAG_OID = 0x06,
    TAG_UTC_TIME = 0x17,
    TAG_GENERALIZED_TIME = 0x18,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_VERSION = 0xa0,
    TAG_ISSUER_ID = 0x81,
    TAG_SUBJECT_ID = 0x82,
    TAG_EXTENSIONS = 0xa3
};

/* DER ---------------------------------------------------------------------------------------- */

/* The length of a value behind its tag; moves past it. */
static bool der_len(wst_str_t *in, size_t *len) {
    const uint8_t *at = (const uint8_t *)in->ptr;
    if (in->len == 0)
        return false;
    size_t bytes = at[0] < 0x80 ? 0 : at[0] & 0x7f;
    *len = bytes == 0 ? at[0] : 0;
    if (at[0] == 0x80 || bytes > 3 || in->len < 1 + bytes)
        return false;
    for (size_t i = 1; i <= bytes; i++)
        *len = *len << 8 | at[i];
    if (bytes > 0 && (at[1] == 0 || *len < 0x80)) /* it could be written in fewer bytes */
        return false;
    in->ptr += 1 + bytes;
    in->len -= 1 + bytes;
    return *len <= in->len;
}

/* Takes the next element, of any tag of one byte. */
static bool der_any(wst_str_t *in, unsigned *tag, wst_str_t *value) {
    if (in->len == 0)
        return false;
    *tag = (uint8_t)in->ptr[0];
    in->ptr++;
    in->len--;
    size_t len;
    if ((*tag & 0x1f) == 0x1f || !der_len(in, &len))
        return false;
    *value = (wst_str_t){in->ptr, len};
    in->ptr += len;
    in->len -= len;
    return true;
}

static bool der_is_next(const wst_str_t *in, unsigned tag) {
    return in->len > 0 && (uint8_t)in->ptr[0] == tag;
}

/* Takes the next element, which must have this tag. */
static bool der_take(wst_str_t *in, unsigned tag, wst_str_t *value) {
    unsigned found;
    return der_is_next(in, tag) && der_any(in, &found, value);
}

/* Takes the next element with its header. */
static bool der_whole(wst_str_t *in, unsigned tag, wst_str_t *whole) {
    wst_str_t value;
    const char *begin = in->ptr;
    if (!der_take(in, tag, &value))
        return false;
    *whole = (wst_str_t){begin, (size_t)(in->ptr - begin)};
    return true;
}

static bool der_skip_optional(wst_str_t *in, unsigned tag) {
    wst_str_t skipped;
    return !der_is_next(in, tag) || der_take(in, tag, &skipped);
}

static bool is_oid(wst_str_t oid, const char *bytes, size_t len) {
    return oid.len == len && memcmp(oid.ptr, bytes, len) == 0;
}

/* Dates -------------------------------------------------------------------------------------- */

/* Days since 1970 of a Gregorian date, computed with years that begin in March. */
static int64_t days_since_1970(int year, int month, int day) {
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

static bool two_digits(const char *at, int *out) {
    if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
        return false;
    *out = (at[0] - '0') * 10 + at[1] - '0';
    return true;
}

/* "YYMMDDHHMMSSZ", or with four digits of the year (RFC 5280 section 4.1.2.5). */
static bool take_time(wst_str_t *in, int64_t *out) {
    wst_str_t text;
    unsigned tag;
    int century = 0, part[6];
    if (!der_any(in, &tag, &text))
        return false;
    if (tag == TAG_GENERALIZED_TIME && text.len == 15) {
        if (!two_digits(text.ptr, &century))
            return false;
        text.ptr += 2;
    } else if (tag != TAG_UTC_TIME || text.len != 13) {
        return false;
    }
    for (int i = 0; i < 6; i++)
        if (!two_digits(text.ptr + 2 * i, &part[i]))
            return false;
    if (tag == TAG_UTC_TIME)
        century = part[0] >= 50 ? 19 : 20;
    if (text.ptr[12] != 'Z' || part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31 ||
        part[3] > 23 || part[4] > 59 || part[5] > 59)
        return false;
    int64_t days = days_since_1970(century * 100 + part[0], part[1], part[2]);
    *out = ((days * 24 + part[3]) * 60 + part[4]) * 60 + part[5];
    return true;
}

/* Names -------------------------------------------------------------------------------------- */

/* Short names of attributes (RFC 4519, RFC 5280 appendix A). */
static const char *attribute_type(wst_str_t oid) {
    static const struct {
        uint8_t last; /* of 2.5.4.x */
        const char *type;
    } types[] = {
        {3, "CN"},
        {4, "SN"},
        {5, "serialNumber"},
        {6, "C"},
        {7, "L"},
        {8, "ST"},
        {10, "O"},
        {11, "OU"},
        {12, "title"},
        {16, "postalAddress"},
        {17, "postalCode"},
        {42, "GN"},
        {43, "initials"},
        {44, "generationQualifier"},
        {46, "dnQualifier"},
        {65, "pseudonym"},
    };
    if (oid.len == 3 && memcmp(oid.ptr, "\x55\4", 2) == 0)
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
            if (types[i].last == (uint8_t)oid.ptr[2])
                return types[i].type;
    static const char pilot[] =
        "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01"; /* 0.9.2342.19200300.100.1 */
    if (oid.len == 10 && memcmp(oid.ptr, pilot, 9) == 0)
        return oid.ptr[9] == 1 ? "UID" : oid.ptr[9] == 25 ? "DC" : "?";
    if (is_oid(oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", 9))
        return "emailAddress";
    return "?";
}

/* Whether a tag is that of a text: BIT STRING (x500UniqueIdentifier), UTF8, Printable, Teletex,
 * IA5, Universal and BMPString. */
static bool is_text(unsigned tag) {
    return tag == TAG_BIT_STRING || tag == 0x0c || tag == 0x13 || tag == 0x14 || tag == 0x16 ||
           tag == 0x1c || tag == 0x1e;
}

static bool take_attribute(wst_str_t *set, wst__tls_attribute_t *out) {
    wst_str_t pair, oid;
    unsigned tag;
    if (!der_take(set, TAG_SEQUENCE, &pair) || !der_take(&pair, TAG_OID, &oid) ||
        !der_any(&pair, &tag, &out->value) || !is_text(tag) || pair.len > 0)
        return false;
    out->type = attribute_type(oid);
    return true;
}

bool wst__tls_dn_next(wst_str_t *dn, wst__tls_attribute_t *out) {
    /* What is left of a SET ends where the next one begins, or the Name does: a pair is a SEQUENCE.
     */
    if (der_is_next(dn, TAG_SET)) {
        size_t len;
        dn->ptr++;
        dn->len--;
        if (!der_len(dn, &len))
            return false;
    }
    return take_attribute(dn, out);
}

/* A Name: takes it off and checks all of it. */
static bool take_name(wst_str_t *in, wst_str_t *out) {
    wst_str_t set, left;
    wst__tls_attribute_t attribute;
    if (!der_take(in, TAG_SEQUENCE, out))
        return false;
    left = *out;
    while (left.len > 0) {
        if (!der_take(&left, TAG_SET, &set) || set.len == 0)
            return false;
        while (set.len > 0)
            if (!take_attribute(&set, &attribute))
                return false;
    }
    return true;
}

bool wst__tls_san_next(wst_str_t *names, unsigned *tag, wst_str_t *value) {
    return der_any(names, tag, value);
}

/* Extensions --------------------------------------------------------------------------------- */

static bool read_names(wst__tls_x509_t *crt, wst_str_t in) {
    wst_str_t left, value;
    unsigned tag;
    if (!der_take(&in, TAG_SEQUENCE, &crt->names) || in.len > 0)
        return false;
    left = crt->names;
    while (left.len > 0)
        if (!der_any(&left, &tag, &value))
            return false;
    return true;
}

static bool read_purposes(wst__tls_x509_t *crt, wst_str_t in) {
    wst_str_t list, oid;
    if (!der_take(&in, TAG_SEQUENCE, &list) || in.len > 0)
        return false;
    crt->for_servers = crt->for_clients = false;
    while (list.len > 0) {
        if (!der_take(&list, TAG_OID, &oid))
            return false;
        bool any = is_oid(oid, "\x55\x1d\x25\0", 4);
        if (any || is_oid(oid, "\x2b\6\1\5\5\7\3\1", 8))
            crt->for_servers = true;
        if (any || is_oid(oid, "\x2b\6\1\5\5\7\3\2", 8))
            crt->for_clients = true;
    }
    return true;
}

/* The first bit is digitalSignature (RFC 5280 section 4.2.1.3). */
static bool read_key_usage(wst__tls_x509_t *crt, wst_str_t in) {
    wst_str_t bits;
    if (!der_take(&in, TAG_BIT_STRING, &bits) || in.len > 0 || bits.len == 0)
        return false;
    crt->for_signatures = bits.len > 1 && ((uint8_t)bits.ptr[1] & 0x80) != 0;
    return true;
}

/* No extension may come twice (RFC 5280 section 4.2): `seen` has a bit for each that is read. */
static bool read_extension(wst__tls_x509_t *crt, wst_str_t *list, unsigned *seen) {
    wst_str_t extension, oid, value;
    if (!der_take(list, TAG_SEQUENCE, &extension) || !der_take(&extension, TAG_OID, &oid) ||
        !der_skip_optional(&extension, TAG_BOOLEAN) ||
        !der_take(&extension, TAG_OCTET_STRING, &value) || extension.len > 0)
        return false;
    static const struct {
        char oid[4];
        bool (*read)(wst__tls_x509_t *crt, wst_str_t value);
    } kinds[] = {{"\x55\x1d\x11", read_names},
                 {"\x55\x1d\x25", read_purposes},
                 {"\x55\x1d\x0f", read_key_usage}};
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!is_oid(oid, kinds[i].oid, 3))
            continue;
        bool again = (*seen & 1U << i) != 0;
        *seen |= 1U << i;
        return !again && kinds[i].read(crt, value);
    }
    return true;
}

static bool read_extensions(wst__tls_x509_t *crt, wst_str_t in) {
    wst_str_t outer, list;
    unsigned seen = 0;
    if (in.len == 0)
        return true;
    if (!der_take(&in, TAG_EXTENSIONS, &outer) || in.len > 0 ||
        !der_take(&outer, TAG_SEQUENCE, &list) || outer.len > 0)
        return false;
    while (list.len > 0)
        if (!read_extension(crt, &list, &seen))
            return false;
    return true;
}

/* Certificate -------------------------------------------------------------------------------- */

bool wst__tls_x509_read(wst__tls_x509_t *out, const uint8_t *der, size_t len) {
    wst_str_t in = {(const char *)der, len}, outer, tbs, skipped, dates;
    *out = (wst__tls_x509_t){
        .der = in, .for_servers = true, .for_clients = true, .for_signatures = true};
    return der_take(&in, TAG_SEQUENCE, &outer) && in.len == 0 &&
           der_take(&outer, TAG_SEQUENCE, &tbs) && der_skip_optional(&tbs, TAG_VERSION) &&
           der_take(&tbs, TAG_INTEGER, &skipped) && der_take(&tbs, TAG_SEQUENCE, &skipped) &&
           take_name(&tbs, &out->issuer) && der_take(&tbs, TAG_SEQUENCE, &dates) &&
           take_time(&dates, &out->not_before) && take_time(&dates, &out->not_after) &&
           dates.len == 0 && take_name(&tbs, &out->subject) &&
           der_whole(&tbs, TAG_SEQUENCE, &out->spki) && der_skip_optional(&tbs, TAG_ISSUER_ID) &&
           der_skip_optional(&tbs, TAG_SUBJECT_ID) && read_extensions(out, tbs);
}
