// Command probe is what the cluster's own test runs in pods: it says what a pod
// sees of its network, its names and its files.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Println(strings.Join(os.Args[1:], " "))
		return
	}
	client := &http.Client{Timeout: 5 * time.Second}
	http.HandleFunc("/whoami", func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		answer(w, host, err)
	})
	http.HandleFunc("/lookup", func(w http.ResponseWriter, r *http.Request) {
		addrs, err := net.DefaultResolver.LookupHost(r.Context(), r.FormValue("name"))
		answer(w, strings.Join(addrs, " "), err)
	})
	http.HandleFunc("/fetch", func(w http.ResponseWriter, r *http.Request) {
		resp, err := client.Get(r.FormValue("url"))
		if err != nil {
			answer(w, "", err)
			return
		}
		defer resp.Body.Close() //nolint:errcheck // read only
		b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		answer(w, string(b), err)
	})
	http.HandleFunc("/append", func(w http.ResponseWriter, r *http.Request) {
		path := filepath.Join("/data", "notes")
		old, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			answer(w, "", err)
			return
		}
		now := string(old) + r.FormValue("text")
		answer(w, now, os.WriteFile(path, []byte(now), 0o600))
	})
	fmt.Println("probe listens")
	log.Fatal(http.ListenAndServe(":8080", nil))
}

func answer(w http.ResponseWriter, text string, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, text) //nolint:errcheck // the client left
}
