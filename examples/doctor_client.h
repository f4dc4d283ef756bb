/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DOCTOR_CLIENT_H
#define EXAMPLES_DOCTOR_CLIENT_H

/* `wstunnel-server doctor`: goes a client's way through the server step by step, and tells what
 * fails. Returns the exit status. */
int doctor_client_main(int argc, char **argv);

#endif
