/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_STATUS_H
#define EXAMPLES_STATUS_H

/* `wstunnel-server status`: shows what a server does, in a table that is renewed, or once. Returns
 * the exit status. */
int status_main(int argc, char **argv);

#endif
