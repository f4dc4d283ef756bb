/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_WSTUNNEL_H
#define WSTUNNEL_WSTUNNEL_H
/**
 * @file wstunnel.h
 * All of libwstunnel.
 */
#include <wstunnel/access.h>
#include <wstunnel/admin.h>
#include <wstunnel/agent.h>
#include <wstunnel/auth.h>
#include <wstunnel/chunk.h>
#include <wstunnel/codec.h>
#include <wstunnel/common.h>
#include <wstunnel/ctx.h>
#include <wstunnel/dial.h>
#include <wstunnel/error.h>
#include <wstunnel/flow.h>
#include <wstunnel/hijack.h>
#include <wstunnel/histogram.h>
#include <wstunnel/http.h>
#include <wstunnel/http_body.h>
#include <wstunnel/json.h>
#include <wstunnel/listener.h>
#include <wstunnel/pac.h>
#include <wstunnel/port.h>
#include <wstunnel/proxy.h>
#include <wstunnel/proxy_choose.h>
#include <wstunnel/pump.h>
#include <wstunnel/remote.h>
#include <wstunnel/request.h>
#include <wstunnel/resolver.h>
#include <wstunnel/rules.h>
#include <wstunnel/server.h>
#include <wstunnel/socket.h>
#include <wstunnel/stream.h>
#include <wstunnel/tls.h>
#include <wstunnel/tls_certificate.h>
#include <wstunnel/tls_files.h>
#include <wstunnel/tls_types.h>
#include <wstunnel/version.h>
#include <wstunnel/websocket.h>

#endif
