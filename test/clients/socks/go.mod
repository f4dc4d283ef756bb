module wstunnel.test/socks

go 1.18

require golang.org/x/net v0.30.0
