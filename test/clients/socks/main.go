// SPDX-License-Identifier: MIT

// golang.org/x/net/proxy as a SOCKS5 client: PROXY USER PASSWORD DESTINATION PATH prints what is
// there by http. USER is empty for a proxy that has no users.
package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/net/proxy"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var auth *proxy.Auth
	if os.Args[2] != "" {
		auth = &proxy.Auth{User: os.Args[2], Password: os.Args[3]}
	}
	dialer, err := proxy.SOCKS5("tcp", os.Args[1], auth, proxy.Direct)
	check(err)
	connection, err := dialer.Dial("tcp", os.Args[4])
	check(err)
	_, err = fmt.Fprintf(connection, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", os.Args[5], os.Args[4])
	check(err)
	_, err = io.Copy(os.Stdout, connection)
	check(err)
}
