package harness

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/interlock-dev/interlock/e2e/cluster"
	"github.com/interlock-dev/interlock/e2e/load"
	"github.com/interlock-dev/interlock/examples/shop"
)

// Shop is the example in a namespace of its own: database, issuer, accounts, and what is rolled out on top.
type Shop struct {
	*Env
	// Namespace, and Host under which the ingress serves the shop.
	Namespace, Host string
	// Repo of the shop's team; nil where the shop is rolled out the usual way.
	Repo *Repo

	place  place
	seeded int        // rows that Seed made
	load   *load.Load // the last one
}

// NewGuarded sets up what the platform team does for a shop that Interlock rolls out: everything but the
// AppBundle. The repository is empty.
func (e *Env) NewGuarded(ctx context.Context, namespace, host string) (*Shop, error) {
	s, err := e.newShop(namespace, host)
	if err != nil {
		return nil, err
	}
	auth := &cluster.BasicAuth{User: s.place.password + "-git-user", Password: s.place.password + "-git-password"}
	if err := e.Cluster.CreateRepo(ctx, namespace, auth); err != nil {
		return nil, err
	}
	if s.Repo, err = newRepo(ctx, e.Cluster.GitDir(namespace), filepath.Join(e.workDir(namespace), "repo")); err != nil {
		return nil, err
	}
	return s, s.setUp(ctx, "AppBundle")
}

// NewUsual sets up the same for a shop that is rolled out without Interlock.
func (e *Env) NewUsual(ctx context.Context, namespace, host string) (*Shop, error) {
	s, err := e.newShop(namespace, host)
	if err != nil {
		return nil, err
	}
	return s, s.setUp(ctx, "AppBundle", "Database")
}

func (e *Env) newShop(namespace, host string) (*Shop, error) {
	random := make([]byte, 12)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	registry := filepath.Dir(e.Cluster.ImageRef("x", "x"))
	s := &Shop{Env: e, Namespace: namespace, Host: host, place: place{
		namespace: namespace, host: host, registry: registry, gitURL: e.Cluster.GitURL(namespace),
		password: hex.EncodeToString(random),
	}}
	return s, os.RemoveAll(e.workDir(namespace))
}

// setUp applies the platform's manifests and waits for the database.
func (s *Shop) setUp(ctx context.Context, without ...string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}
	if err := s.Client.Create(ctx, ns); err != nil {
		return fmt.Errorf("%w; if it is left over, delete the namespace %s", err, s.Namespace)
	}
	if err := s.ApplyPlatform(ctx, without...); err != nil {
		return err
	}
	return s.waitDatabase(ctx)
}

// ApplyPlatform applies the platform's manifests, without objects of some kinds.
func (s *Shop) ApplyPlatform(ctx context.Context, without ...string) error {
	tree, err := s.place.tree(shop.Platform, "platform")
	if err != nil {
		return err
	}
	objects, err := tree.render(".", "", without...)
	if err != nil {
		return err
	}
	return s.Cluster.Apply(ctx, objects)
}

// Tree is the shop's repository at commit 1 or 2.
func (s *Shop) Tree(commit int) (Tree, error) { return s.place.history(commit) }

// StartLoad starts requests to the shop over HTTPS through the ingress controller. It goes on with what the load
// before it wrote, which must be stopped.
func (s *Shop) StartLoad(ctx context.Context, rate float64) (*load.Load, error) {
	roots, err := s.authority(ctx)
	if err != nil {
		return nil, err
	}
	s.load = load.Start(ctx, load.Config{
		URL: "https://" + s.Host, Addr: s.Cluster.IngressAddr(), Roots: roots,
		Rate: rate, Timeout: 10 * time.Second, Run: fmt.Sprintf("load%d", time.Now().UnixNano()),
		Seeded: s.seeded, After: s.load,
	})
	return s.load, nil
}

// authority is the CA that signs the shop's certificate.
func (s *Shop) authority(ctx context.Context) (*x509.CertPool, error) {
	secret, err := s.Kube.CoreV1().Secrets(s.Namespace).Get(ctx, "shop-ca", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(secret.Data[corev1.TLSCertKey]) {
		return nil, fmt.Errorf("secret %s/shop-ca has no certificate", s.Namespace)
	}
	return pool, nil
}

// WaitServing waits until the shop answers over HTTPS three times in a row.
func (s *Shop) WaitServing(ctx context.Context, limit time.Duration) error {
	row := 0
	return Wait(ctx, limit, "https://"+s.Host, func(ctx context.Context) (bool, string, error) {
		roots, err := s.authority(ctx)
		if err != nil {
			return false, "", err
		}
		if err := load.Probe(ctx, "https://"+s.Host, s.Cluster.IngressAddr(), roots); err != nil {
			row = 0
			return false, "", err
		}
		row++
		return row >= 3, "it answers", nil
	})
}

// Remove deletes everything of the shop.
func (s *Shop) Remove(ctx context.Context) error { return s.RemoveShop(ctx, s.Namespace) }

// RemoveShop deletes a shop's namespace, waits until it is gone, and deletes its repository. There need not be any.
func (e *Env) RemoveShop(ctx context.Context, namespace string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := client.IgnoreNotFound(e.Client.Delete(ctx, ns)); err != nil {
		return err
	}
	err := Wait(ctx, 3*time.Minute, "deleting namespace "+namespace, func(ctx context.Context) (bool, string, error) {
		err := e.Client.Get(ctx, client.ObjectKeyFromObject(ns), ns)
		if apierrors.IsNotFound(err) {
			return true, "", nil
		}
		seen := ""
		for _, c := range ns.Status.Conditions {
			if c.Status == corev1.ConditionTrue {
				seen += c.Message + " "
			}
		}
		return false, seen, err
	})
	return errors.Join(err, e.Cluster.RemoveRepo(namespace), os.RemoveAll(e.workDir(namespace)))
}

// workDir is where the working tree of a shop's repository is.
func (e *Env) workDir(namespace string) string {
	return filepath.Join(e.Root, ".local", "e2e", namespace)
}
