/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DOCTOR_AGENT_H
#define EXAMPLES_DOCTOR_AGENT_H

/* `wstunnel-agent doctor`: goes the agent's way to its server step by step, and tells what fails.
 * Returns the exit status. */
int doctor_agent_main(int argc, char **argv);

#endif
