/* SPDX-License-Identifier: MIT */
/* Users: checks of their members, hashes of their passwords, the search in the list. */
#include "access.h"
#include "http_digest.h"
#include "utf8.h"

#include <string.h>

/* Checks ------------------------------------------------------------------------------------- */

bool wst__access_is_text(const char *text) {
    size_t len = strlen(text);
    uint32_t code;
    while (len > 0) {
        size_t n = wst__utf8_get(&code, text, len);
        if (n == 0 || code < ' ' || (code >= 0x7f && code < 0xa0))
            return false;
        text += n;
        len -= n;
    }
    return true;
}

bool wst__access_is_user_name(const char *name) {
    return name[0] != '\0' && strlen(name) <= WST__ACCESS_NAME_MAX && wst__access_is_text(name) &&
           strchr(name, ':') == NULL;
}

const char *wst__access_tenant_flaw(const char *tenant) {
    if (tenant != NULL && (strlen(tenant) > WST__ACCESS_NAME_MAX || !wst__access_is_text(tenant)))
        return "not at most 127 bytes without control characters";
    return NULL;
}

const char *wst__access_certificate_flaw(const char *pattern) {
    static const char *const kinds[] = {"CN:", "dns:", "email:", "uri:"};
    if (pattern == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t len = strlen(kinds[i]);
        if (strncmp(pattern, kinds[i], len) == 0 && pattern[len] != '\0')
            return NULL;
    }
    return "not CN:NAME, dns:NAME, email:NAME or uri:NAME";
}

static const char *password_flaw(const wst_access_user_t *given) {
    const char *password = given->password;
    if (password == NULL)
        return NULL;
    if (given->ha1_sha256 != NULL || given->ha1_md5 != NULL)
        return "either it or its hashes";
    if (password[0] == '\0' || strlen(password) >= WST_AUTH_MAX || !wst__access_is_text(password))
        return "not 1 to 255 bytes without control characters";
    return NULL;
}

static const char *hash_flaw(wst__hash_t hash, const char *text) {
    uint8_t bytes[WST__HASH_MAX];
    bool is_hash = text == NULL ||
                   wst__hex_decode(bytes, wst__hash_len(hash), (wst_str_t){text, strlen(text)});
    wst__wipe(bytes, sizeof(bytes));
    if (is_hash)
        return NULL;
    return hash == WST__MD5 ? "not 32 hexadecimal digits" : "not 64 hexadecimal digits";
}

const char *wst__access_user_flaw(const wst_access_user_t *given, const char **member) {
    const struct {
        const char *member, *flaw;
    } checks[] = {
        {"name", given->name != NULL && wst__access_is_user_name(given->name)
                     ? NULL
                     : "not 1 to 127 bytes without control characters and colons"},
        {"password", password_flaw(given)},
        {"tenant", wst__access_tenant_flaw(given->tenant)},
        {"certificate", wst__access_certificate_flaw(given->certificate)},
        {"ha1_sha256", hash_flaw(WST__SHA256, given->ha1_sha256)},
        {"ha1_md5", hash_flaw(WST__MD5, given->ha1_md5)},
    };
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        *member = checks[i].member;
        if (checks[i].flaw != NULL)
            return checks[i].flaw;
    }
    return NULL;
}

/* Hashes ------------------------------------------------------------------------------------- */

/* Sets a hash, in lower case as digests need it; "" if none is given. */
static void take_hash(wst__access_user_t *user, wst__hash_t hash, const char *text) {
    uint8_t bytes[WST__HASH_MAX];
    size_t len = wst__hash_len(hash);
    user->ha1[hash][0] = '\0';
    if (text == NULL || !wst__hex_decode(bytes, len, (wst_str_t){text, strlen(text)}))
        return;
    wst__hex_encode(user->ha1[hash], bytes, len);
    wst__wipe(bytes, sizeof(bytes));
}

static void take_hashes(wst__access_user_t *user, const wst_access_user_t *given) {
    take_hash(user, WST__SHA256, given->ha1_sha256);
    take_hash(user, WST__MD5, given->ha1_md5);
}

static int hash_password(wst__access_user_t *user, const char *realm, const char *password) {
    int status = 0;
    for (int hash = WST__MD5; hash <= WST__SHA256 && status == 0; hash++)
        status = wst__digest_ha1(user->ha1[hash], (wst__hash_t)hash, user->name, realm, password);
    return status;
}

int wst__access_hash_user(wst__access_user_t *user, const char *realm,
                          const wst_access_user_t *given) {
    if (given->password != NULL)
        return hash_password(user, realm, given->password);
    take_hashes(user, given);
    return 0;
}

int wst__access_take_user(wst__access_user_t *out, const wst_access_t *access, const char *name,
                          const wst_access_user_t *given) {
    bool has_password = given != NULL && given->password != NULL;
    *out = (wst__access_user_t){.name = name};
    int status = hash_password(out, access->realm, has_password ? given->password : "password");
    if (given == NULL) {
        *out = access->nobody;
        return status;
    }
    out->tenant = given->tenant != NULL ? given->tenant : "";
    out->password = access->selects ? given->password : NULL;
    if (!has_password)
        take_hashes(out, given);
    return status;
}

/* The list ----------------------------------------------------------------------------------- */

static const wst__access_user_t *find_named_user(const wst_access_t *access, const char *name,
                                                 size_t len) {
    size_t low = 0, high = access->user_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = access->users[middle].name;
        int order = strncmp(name, other, len);
        if (order == 0 && other[len] == '\0')
            return &access->users[middle];
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const wst__access_user_t *wst__access_find_user(const wst_access_t *access, const char *name) {
    return find_named_user(access, name, strlen(name));
}

size_t wst__access_user_part(const wst_access_t *access, const char *name) {
    const char *plus = strrchr(name, '+');
    return access->selects && plus != NULL ? (size_t)(plus - name) : strlen(name);
}

const wst__access_user_t *wst__access_find_claimed(const wst_access_t *access, const char *name) {
    const wst__access_user_t *user = wst__access_find_user(access, name);
    return user != NULL ? user : find_named_user(access, name, wst__access_user_part(access, name));
}

const wst__access_user_t *wst__access_find_certified(const wst_access_t *access,
                                                     const wst_request_t *request) {
    for (size_t i = 0; i < access->user_count; i++) {
        const char *pattern = access->users[i].certificate;
        if (pattern != NULL && wst__access_certificate(pattern, request))
            return &access->users[i];
    }
    return NULL;
}
