/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_PASSWD_H
#define EXAMPLES_PASSWD_H

/* `wstunnel-server passwd`: prints a line of a user file, with the hash of a password that it asks
 * for. Returns the exit status. */
int passwd_main(int argc, char **argv);

#endif
