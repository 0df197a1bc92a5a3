package gitsource

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"

	fluxgit "github.com/fluxcd/pkg/git"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
)

// remote is where to fetch from, and as whom.
type remote struct {
	url  string
	auth *fluxgit.AuthOptions
	// credentials: something is sent that the server could refuse.
	credentials bool
}

// newRemote checks the URL and the Secret's data.
func newRemote(rawURL string, secret map[string][]byte) (remote, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return remote{}, fail(URLInvalid, nil, "spec.git.url is not the URL of a repository; it looks like https://host/path.git")
	case u.User != nil:
		return remote{}, fail(URLInvalid, nil, "spec.git.url carries credentials, and everybody who may read the AppBundle reads them; put them into a Secret and name it in spec.git.secretRef")
	}
	auth, err := fluxgit.NewAuthOptions(*u, secret)
	if err != nil {
		return remote{}, fail(CredentialsInvalid, nil, "the Secret that spec.git.secretRef names needs username and password, or bearerToken (and ca.crt for a private authority)")
	}
	return remote{url: u.String(), auth: auth, credentials: auth.Username != "" || auth.BearerToken != ""}, nil
}

// method is how to log in; nil for a public repository.
func (r remote) method() transport.AuthMethod {
	switch {
	case r.auth.Username != "" || r.auth.Password != "":
		return &http.BasicAuth{Username: r.auth.Username, Password: r.auth.Password}
	case r.auth.BearerToken != "":
		return &http.TokenAuth{Token: r.auth.BearerToken}
	}
	return nil
}

// fingerprint changes with everything that decides what a fetch brings.
func fingerprint(rawURL string, ref Ref, secret map[string][]byte) string {
	h := sha256.New()
	write := func(parts ...string) {
		for _, p := range parts {
			h.Write([]byte(p))
			h.Write([]byte{0})
		}
	}
	write(rawURL, ref.Branch, ref.Tag, ref.Commit)
	for _, k := range slices.Sorted(maps.Keys(secret)) {
		write(k, string(secret[k]))
	}
	return hex.EncodeToString(h.Sum(nil))
}
