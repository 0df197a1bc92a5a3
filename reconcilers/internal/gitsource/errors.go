package gitsource

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// Reason is why a source can not be had; it becomes the reason of a condition.
type Reason string

const (
	// URLInvalid: the URL is no http(s) URL, or carries credentials.
	URLInvalid Reason = "URLInvalid"
	// RepositoryNotFound: the server has no such repository, or does not show it to this user.
	RepositoryNotFound Reason = "RepositoryNotFound"
	// RepositoryEmpty: the repository has no commit.
	RepositoryEmpty Reason = "RepositoryEmpty"
	// AuthenticationRequired: the server asks for credentials and none are given.
	AuthenticationRequired Reason = "AuthenticationRequired"
	// AuthenticationFailed: the server refuses the credentials.
	AuthenticationFailed Reason = "AuthenticationFailed"
	// CredentialsInvalid: the Secret's content can not be used.
	CredentialsInvalid Reason = "CredentialsInvalid"
	// RefNotFound: the branch, tag or commit is not in the repository.
	RefNotFound Reason = "RefNotFound"
	// FetchTimeout: the server did not answer in time.
	FetchTimeout Reason = "FetchTimeout"
	// CertificateUntrusted: the server's certificate comes from an authority that is not trusted.
	CertificateUntrusted Reason = "CertificateUntrusted"
	// SourceTooLarge: the repository, a file in it, or what is read of it is larger than the limits.
	SourceTooLarge Reason = "SourceTooLarge"
	// FetchFailed: anything else; the message has the server's words.
	FetchFailed Reason = "FetchFailed"
)

// Error says why a source can not be had and what to do. It never holds credentials.
type Error struct {
	Reason  Reason
	Message string
	cause   error
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

func fail(reason Reason, cause error, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...), cause: cause}
}

// errTooLarge ends a transfer, or a read, that goes beyond the limits.
var errTooLarge = errors.New("larger than allowed")

// errDamaged is a clone with objects that can not be read.
var errDamaged = errors.New("the cached clone is damaged")

// IsDamaged says that an error comes from the cached clone, not from the repository: forget the clone and try again.
func IsDamaged(err error) bool { return errors.Is(err, errDamaged) }

// explain turns an error of the transport into one with a reason and a next step.
func explain(err error, url string, withCredentials bool) *Error {
	var own *Error
	var dns *net.DNSError
	var unknownAuthority x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, errTooLarge):
		return fail(SourceTooLarge, err, "%s sends more than %d MiB; keep large files out of the bundle's repository", url, MaxPackBytes>>20)
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		if withCredentials {
			return fail(AuthenticationFailed, err, "%s refuses the credentials; correct the Secret that spec.git.secretRef names", url)
		}
		return fail(AuthenticationRequired, err, "%s asks for credentials; name a Secret with username and password, or bearerToken, in spec.git.secretRef", url)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fail(RepositoryNotFound, err, "there is no repository at %s; correct spec.git.url, or, if it is private, the credentials", url)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fail(RepositoryEmpty, err, "the repository at %s has no commit; push one", url)
	case errors.Is(err, context.DeadlineExceeded):
		return fail(FetchTimeout, err, "%s did not answer in time; is it reachable from the cluster? else raise spec.timeout", url)
	case errors.As(err, &unknownAuthority), errors.As(err, &wrongName):
		return fail(CertificateUntrusted, err, "the certificate of %s is not trusted (%s); put its authority under ca.crt into the Secret that spec.git.secretRef names", url, err)
	case errors.As(err, &dns):
		return fail(FetchFailed, err, "the host of %s has no address (%s); correct spec.git.url", url, dns.Err)
	}
	return fail(FetchFailed, err, "%s can not be fetched: %s", url, err)
}
