/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_INIT_H
#define EXAMPLES_INIT_H

/* `wstunnel-server init`: makes what a server needs, and prints the lines to type next. Returns the
 * exit status. */
int init_main(int argc, char **argv);

#endif
