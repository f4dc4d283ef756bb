/* SPDX-License-Identifier: MIT */
/* The headers that tests share, all in one file: no two of them use the same name, and the worlds
 * of two of them can live in one test. */
#include "access_rig.h"
#include "admin_rig.h"
#include "agent_peers.h"
#include "agent_world.h"
#include "codec_feed.h"
#include "env.h"
#include "fake_getaddrinfo.h"
#include "fake_stream.h"
#include "fake_uplink.h"
#include "flow_rig.h"
#include "forward_world.h"
#include "hijack_world.h"
#include "mux_rig.h"
#include "proxy_rig.h"
#include "proxy_world.h"
#include "remote_rig.h"
#include "resume_rig.h"
#include "server_world.h"
#include "session_rig.h"
#include "sim.h"
#include "socket_pair.h"
#include "sockets.h"
#include "socks_world.h"
#include "support.h"
#include "talk_rig.h"
#include "tls_certs.h"
#include "tls_pki.h"
#include "tls_raw.h"
#include "tls_rig.h"
#include "tls_setup.h"
#include "tls_world.h"
#include "websocket_rig.h"
#include "ws_compare.h"
#include "ws_peer.h"

#include <stdio.h>

/* A client and a server in one world, an agent and a destination in the other one. */
static void test_two_worlds(void **state) {
    (void)state;
    server_world_t server;
    agent_world_t agent;
    agent_place_t place;
    server_client_t client;
    char request[128];
    server_world_open(&server);
    agent_world_open(&agent);
    test_env_join(&server.env, &agent.env);
    snprintf(agent.address, sizeof(agent.address), "%s", server.address);
    agent_world_start(&agent);
    agent_world_until(&agent, AGENT_UP, 1);
    agent_place_open(&agent, &place);

    server_client_open(&server, &client);
    snprintf(request, sizeof(request), "CONNECT %s HTTP/1.1\r\n\r\n", place.address);
    server_client_say(&client, request);
    server_client_expect(&client, "HTTP/1.1 200 Connection established\r\n\r\n");
    uint8_t byte = sockets_pattern(0);
    server_client_send(&client, &byte, 1);
    test_env_until_count(&agent.env, &place.owners[0].received, 1);
    assert_int_equal(sockets_write(place.owners[0].stream, "x", 1), 0);
    server_client_expect(&client, "x");

    server_client_close(&client);
    agent_place_free(&place);
    agent_world_free(&agent);
    server_world_free(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_worlds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
