package harness

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/interlock-dev/interlock/e2e/load"
)

// Connect opens a session as the superuser, whose role the Database ignores, straight to the database's pod.
// Close it: to whoever does not ignore that role it is a reader.
func (s *Shop) Connect(ctx context.Context) (*pgx.Conn, error) {
	return s.connectTo(ctx, "postgres", s.place.password+"-postgres", "shop")
}

// ConnectAs is the same for the roles of the app ("shop") and of Interlock ("interlock").
func (s *Shop) ConnectAs(ctx context.Context, role string) (*pgx.Conn, error) {
	password := map[string]string{"shop": "-app", "interlock": "-interlock"}[role]
	return s.connectTo(ctx, role, s.place.password+password, "shop")
}

func (s *Shop) connectTo(ctx context.Context, role, password, database string) (*pgx.Conn, error) {
	pod, err := s.Kube.CoreV1().Pods(s.Namespace).Get(ctx, "shop-db-0", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if pod.Status.PodIP == "" {
		return nil, fmt.Errorf("pod shop-db-0 is %s and has no address", pod.Status.Phase)
	}
	uri := url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Host: pod.Status.PodIP + ":5432", Path: database,
		RawQuery: "connect_timeout=5&sslmode=disable&application_name=e2e"}
	return pgx.Connect(ctx, uri.String())
}

// Seed adds rows from before the change, and brings the planner's statistics up to date.
func (s *Shop) Seed(ctx context.Context, rows int) error {
	conn, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, load.SeedSQL, rows); err != nil {
		return err
	}
	s.seeded = rows
	_, err = conn.Exec(ctx, "VACUUM ANALYZE orders")
	return err
}

// Verify compares every row of the database with what the load was told.
func (s *Shop) Verify(ctx context.Context, l *load.Load) (load.Verdict, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return load.Verdict{}, err
	}
	v, err := l.Verify(ctx, conn)
	return v, errors.Join(err, conn.Close(ctx))
}

// waitDatabase waits until the database answers, and its pod is Ready: before that its name leads nowhere.
func (s *Shop) waitDatabase(ctx context.Context) error {
	return Wait(ctx, 2*time.Minute, "PostgreSQL in "+s.Namespace, func(ctx context.Context) (bool, string, error) {
		pod, err := s.Kube.CoreV1().Pods(s.Namespace).Get(ctx, "shop-db-0", metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		conn, err := s.Connect(ctx)
		if err != nil {
			return false, "", err
		}
		return podReady(pod), "its pod is not Ready", conn.Close(ctx)
	})
}

// CrashDatabase ends the server process, as a crash of its container would. The kubelet starts another one.
func (s *Shop) CrashDatabase(ctx context.Context) error {
	pod, err := s.Kube.CoreV1().Pods(s.Namespace).Get(ctx, "shop-db-0", metav1.GetOptions{})
	if err != nil {
		return err
	}
	return killContainer(string(pod.UID))
}

// WaitConnect waits until the database takes a connection.
func (s *Shop) WaitConnect(ctx context.Context) error {
	return Wait(ctx, 2*time.Minute, "a connection to PostgreSQL in "+s.Namespace, func(ctx context.Context) (bool, string, error) {
		conn, err := s.Connect(ctx)
		if err != nil {
			return false, "", err
		}
		return true, "", conn.Close(ctx)
	})
}

// ReplaceDatabase deletes the database's pod, and waits until its successor answers.
func (s *Shop) ReplaceDatabase(ctx context.Context) error {
	pods := s.Kube.CoreV1().Pods(s.Namespace)
	old, err := pods.Get(ctx, "shop-db-0", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if err := pods.Delete(ctx, old.Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	err = Wait(ctx, 2*time.Minute, "a new pod shop-db-0", func(ctx context.Context) (bool, string, error) {
		pod, err := pods.Get(ctx, old.Name, metav1.GetOptions{})
		return err == nil && pod.UID != old.UID, "the old one is there", err
	})
	if err != nil {
		return err
	}
	return s.waitDatabase(ctx)
}

// ScaleDatabase takes the database away (0), or brings it back (1) and waits for it.
func (s *Shop) ScaleDatabase(ctx context.Context, replicas int32) error {
	sets := s.Kube.AppsV1().StatefulSets(s.Namespace)
	scale, err := sets.GetScale(ctx, "shop-db", metav1.GetOptions{})
	if err != nil {
		return err
	}
	scale.Spec.Replicas = replicas
	if _, err := sets.UpdateScale(ctx, "shop-db", scale, metav1.UpdateOptions{}); err != nil || replicas == 0 {
		return err
	}
	return s.waitDatabase(ctx)
}
