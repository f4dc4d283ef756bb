// SPDX-License-Identifier: MIT

// Go's net/http as a client: see test_languages.py for what is asked of it.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var client *http.Client

func fetch(method, where string, body io.Reader) []byte {
	request, err := http.NewRequest(method, where, body)
	check(err)
	answer, err := client.Do(request)
	check(err)
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		check(errors.New(answer.Status))
	}
	data, err := io.ReadAll(answer.Body)
	check(err)
	return data
}

func main() {
	proxy, err := url.Parse(os.Args[1])
	check(err)
	certificate, err := os.ReadFile(os.Args[2])
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	client = &http.Client{Transport: &http.Transport{
		Proxy:             http.ProxyURL(proxy),
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
	}}
	for i, scheme := range []string{"http", "https"} {
		origin := os.Args[3+i]
		data := fetch("GET", origin+"/file", nil)
		fmt.Printf("%s get %x\n", scheme, sha256.Sum256(data))
		// A reader that does not tell its length is sent in chunks.
		stream := io.MultiReader(strings.NewReader(string(data)))
		fmt.Printf("%s put %s\n", scheme, fetch("PUT", origin+"/app/hash", stream))
		tiles := make([][]byte, 100)
		var group sync.WaitGroup
		for j := range tiles {
			group.Add(1)
			go func(j int) {
				defer group.Done()
				tiles[j] = fetch("GET", fmt.Sprintf("%s/tiles/%d.png", origin, j), nil)
			}(j)
		}
		group.Wait()
		all := sha256.New()
		for _, tile := range tiles {
			all.Write(tile)
		}
		fmt.Printf("%s many %x\n", scheme, all.Sum(nil))
	}
	answer, err := client.Get("http://" + os.Args[5] + "/")
	check(err)
	answer.Body.Close()
	fmt.Println("http refused", answer.Status)
	_, err = client.Get("https://" + os.Args[5] + "/")
	fmt.Println("https refused", err)
}
