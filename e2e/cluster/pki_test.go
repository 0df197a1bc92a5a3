package cluster

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

func TestAuthorityIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := loadAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := loadAuthority(dir)
	if err != nil || !bytes.Equal(first.certPEM, second.certPEM) {
		t.Errorf("the second one differs (%v)", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "ca.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info, err)
	}
}

func TestIssuedCertificates(t *testing.T) {
	ca, err := loadAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := ca.issueAll(dir, 2); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for _, tc := range []struct{ file, wantUser, wantGroup, wantHost string }{
		{"admin", "interlock-local-admin", "system:masters", ""},
		{"node2", "system:node:node2", "system:nodes", "10.189.0.12"},
		{"apiserver", "kube-apiserver", "", ServiceIP},
		{"apiserver", "kube-apiserver", "", "kubernetes.default.svc"},
		{"server", "interlock-local-services", "", HostIP},
		{"kube-proxy", "system:kube-proxy", "", ""},
	} {
		b, err := os.ReadFile(filepath.Join(dir, tc.file+".crt"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(b)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		group := ""
		if len(cert.Subject.Organization) > 0 {
			group = cert.Subject.Organization[0]
		}
		if cert.Subject.CommonName != tc.wantUser || group != tc.wantGroup {
			t.Errorf("%s names %q in %q, want %q in %q", tc.file, cert.Subject.CommonName, group, tc.wantUser, tc.wantGroup)
		}
		opts := x509.VerifyOptions{Roots: roots, DNSName: tc.wantHost, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		if _, err := cert.Verify(opts); err != nil {
			t.Errorf("%s: %v", tc.file, err)
		}
	}
}
