package postgres

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"testing"

	"github.com/interlock-dev/interlock/internal/pgtest"
)

// TestPoolerIsRefused stands between client and server and does what every pooler does: it answers the log-in with a
// cancellation key of its own.
func TestPoolerIsRefused(t *testing.T) {
	u, err := url.Parse(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	for name, tt := range map[string]struct {
		rewrite bool
		want    Reason
	}{"plain forwarding": {false, ""}, "a key of its own": {true, PoolerRefused}} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					client, err := l.Accept()
					if err != nil {
						return
					}
					go forward(client, server, tt.rewrite)
				}
			}()
			through := *u
			through.Host = l.Addr().String()
			through.RawQuery = "sslmode=disable"
			conn, err := Connect(t.Context(), through.String(), Options{})
			if err == nil {
				closeNow(conn)
			}
			if ReasonOf(err) != tt.want {
				t.Errorf("error = %v, want the reason %q", err, tt.want)
			}
		})
	}
}

func forward(client net.Conn, address string, rewrite bool) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	header := make([]byte, 5) // type and length
	for {
		if _, err := io.ReadFull(server, header); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(header[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		if rewrite && header[0] == 'K' { // BackendKeyData: process and key
			body[3] ^= 1
		}
		if _, err := client.Write(append(header[:5:5], body...)); err != nil {
			return
		}
	}
}
