package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority signs every certificate of the cluster. It is kept in the cache: its
// certificate is part of images, which would change with it.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	// certPEM is what trusts it; the file it is in stands in caFile.
	certPEM, keyPEM []byte
}

// loadAuthority reads the authority from dir or makes one there.
func loadAuthority(dir string) (*authority, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		return makeAuthority(dir)
	}
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		return nil, err
	}
	a, err := parseAuthority(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("the cluster's certificate authority in %s is damaged; remove that directory: %w", dir, err)
	}
	return a, nil
}

func parseAuthority(certPEM, keyPEM []byte) (*authority, error) {
	c, _ := pem.Decode(certPEM)
	k, _ := pem.Decode(keyPEM)
	if c == nil || k == nil {
		return nil, errors.New("no PEM block")
	}
	cert, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParseECPrivateKey(k.Bytes)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key, certPEM: certPEM, keyPEM: keyPEM}, nil
}

func makeAuthority(dir string) (*authority, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "interlock local cluster"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	// The key first: a certificate on disk promises that there is one.
	if err := writeFile(filepath.Join(dir, "ca.key"), keyPEM, 0o600); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, "ca.crt"), certPEM, 0o644); err != nil {
		return nil, err
	}
	return parseAuthority(certPEM, keyPEM)
}

func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// identity is a certificate to be issued: who it names and where it may serve.
type identity struct {
	file  string // name.crt and name.key
	name  string // the user, for Kubernetes
	group string // the group, for Kubernetes; may be empty
	hosts []string
}

// identities are all certificates of a cluster with so many nodes.
func identities(nodes int) []identity {
	ids := []identity{
		{file: "admin", name: "interlock-local-admin", group: "system:masters"},
		{file: "etcd", name: "etcd", hosts: []string{"127.0.0.1", "localhost"}},
		{file: "server", name: "interlock-local-services", hosts: []string{HostIP, "127.0.0.1", "localhost"}},
		{file: "apiserver", name: "kube-apiserver", hosts: []string{
			HostIP, ServiceIP, "127.0.0.1", "localhost", "kubernetes", "kubernetes.default",
			"kubernetes.default.svc", "kubernetes.default.svc." + ClusterDomain,
		}},
		{file: "apiserver-kubelet-client", name: "kube-apiserver-kubelet-client", group: "system:masters"},
		{file: "controller-manager", name: "system:kube-controller-manager"},
		{file: "scheduler", name: "system:kube-scheduler"},
		{file: "kube-proxy", name: "system:kube-proxy"},
	}
	for i := 1; i <= nodes; i++ {
		ids = append(ids, identity{
			file: nodeName(i), name: "system:node:" + nodeName(i), group: "system:nodes",
			hosts: []string{nodeName(i), nodeIP(i).String()},
		})
	}
	return ids
}

// issue writes id's certificate and key into dir.
func (a *authority) issue(dir string, id identity) error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: id.name},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if id.group != "" {
		t.Subject.Organization = []string{id.group}
	}
	for _, h := range id.hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return errors.Join(
		writeFile(filepath.Join(dir, id.file+".key"), keyPEM, 0o600),
		writeFile(filepath.Join(dir, id.file+".crt"), certPEM, 0o644),
	)
}

// issueAll writes every certificate, the authority's own, and the key that signs
// ServiceAccount tokens.
func (a *authority) issueAll(dir string, nodes int) error {
	for _, id := range identities(nodes) {
		if err := a.issue(dir, id); err != nil {
			return fmt.Errorf("certificate for %s: %w", id.name, err)
		}
	}
	_, saKey, err := newKey()
	if err != nil {
		return err
	}
	return errors.Join(
		writeFile(filepath.Join(dir, "service-accounts.key"), saKey, 0o600),
		writeFile(filepath.Join(dir, "ca.crt"), a.certPEM, 0o644),
		writeFile(filepath.Join(dir, "ca.key"), a.keyPEM, 0o600),
	)
}
