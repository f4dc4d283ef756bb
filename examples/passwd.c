/* SPDX-License-Identifier: MIT */
#include "passwd.h"
#include "ask_secret.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "wstunnel-server passwd"

enum { NAME_MAX_LEN = 127, REALM_MAX = 127 };

static const char usage[] =
    "usage: wstunnel-server passwd [--realm REALM] NAME\n"
    "Asks for a password and prints the line of a user file that has its hash. At a terminal it "
    "asks\n"
    "twice and shows nothing; otherwise it reads a line from standard input.\n"
    "\n"
    "  --realm REALM         that of the server's configuration (default wstunnel): the hash is "
    "for\n"
    "                        this realm and this name only\n"
    "  --help, -h, --version\n"
    "\n"
    "Examples:\n"
    "  wstunnel-server passwd alice >> conf/users\n"
    "  pwgen 24 1 | tee secret | wstunnel-server passwd alice >> conf/users\n"
    "  wstunnel-server passwd --realm office alice\n";

typedef struct passwd {
    config_t config; /* the faults */
    const char *realm, *name;
    char password[CONFIG_SECRET_MAX + 1], again[CONFIG_SECRET_MAX + 1];
} passwd_t;

static const config_field_t members[] = {
    {.name = "realm", .kind = CONFIG_TEXT, .offset = offsetof(passwd_t, realm), .max = REALM_MAX},
};
static const config_fields_t fields = {members, sizeof(members) / sizeof(members[0])};

static bool read_options(passwd_t *p, const options_t *options) {
    config_t *c = &p->config;
    options_read(c, options, &fields, p);
    if (p->realm == NULL)
        p->realm = "wstunnel";
    p->name = options->arguments[0];
    if (p->name == NULL)
        config_fault(c, NULL, "a name is needed: that of the user");
    else if (options->arguments[1] != NULL)
        config_fault(c, NULL, "unexpected argument '%s'; the password is asked for",
                     options->arguments[1]);
    else if (p->name[0] == '\0' || p->name[0] == '#' || strlen(p->name) > NAME_MAX_LEN ||
             strchr(p->name, ':') != NULL || config_has_control(p->name))
        config_fault(c, NULL,
                     "the name must be 1 to %d bytes without control characters and ':', and not "
                     "begin with '#'",
                     NAME_MAX_LEN);
    return c->error_count == 0;
}

/* Asks for the password; false: a fault, which has been noted. */
static bool ask(passwd_t *p) {
    const char *why;
    bool twice = isatty(STDIN_FILENO) != 0;
    if (!ask_secret(p->password, sizeof(p->password), "Password", &why) ||
        (twice && !ask_secret(p->again, sizeof(p->again), "The same again", &why)))
        config_fault(&p->config, NULL, "the password: %s", why);
    else if (p->password[0] == '\0' || config_has_control(p->password))
        config_fault(&p->config, NULL,
                     "the password must be 1 to %d bytes without control "
                     "characters",
                     CONFIG_SECRET_MAX);
    else if (twice && !wst_auth_equal(p->password, p->again))
        config_fault(&p->config, NULL, "these are two passwords: nothing is printed");
    else
        return true;
    return false;
}

static bool print(passwd_t *p) {
    char text[NAME_MAX_LEN + REALM_MAX + CONFIG_SECRET_MAX + 3], hash[WST_AUTH_HASH_MAX];
    snprintf(text, sizeof(text), "%s:%s:%s", p->name, p->realm, p->password);
    int status = wst_auth_sha256(hash, text);
    config_wipe(text, sizeof(text));
    if (status != 0)
        config_fault(&p->config, NULL, "%s", wst_strerror(status));
    else if (printf("%s:{ha1-sha256}%s\n", p->name, hash) < 0 || fflush(stdout) != 0)
        config_fault(&p->config, NULL, "cannot print it: %s", strerror(errno));
    return p->config.error_count == 0;
}

int passwd_main(int argc, char **argv) {
    static const options_syntax_t syntax = {
        .program = PROGRAM, .usage = usage, .fields = &fields, .takes_arguments = true};
    static options_t options;
    static passwd_t p;
    int status;
    if (!options_parse(&options, &syntax, argc, argv, &status))
        return status;
    status = 2;
    if (read_options(&p, &options))
        status = ask(&p) && print(&p) ? 0 : 1;
    config_print(&p.config, PROGRAM, status == 2);
    config_free(&p.config);
    config_wipe(&p, sizeof(p));
    return status;
}
