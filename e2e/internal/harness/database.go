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

// RestartDatabase ends the server process, as a crash of its container would, and waits until a new one answers.
func (s *Shop) RestartDatabase(ctx context.Context) error {
	pod, err := s.Kube.CoreV1().Pods(s.Namespace).Get(ctx, "shop-db-0", metav1.GetOptions{})
	if err != nil {
		return err
	}
	before := pod.Status.ContainerStatuses[0].RestartCount
	if err := killContainer(string(pod.UID)); err != nil {
		return err
	}
	return Wait(ctx, 2*time.Minute, "PostgreSQL after its restart", func(ctx context.Context) (bool, string, error) {
		pod, err := s.Kube.CoreV1().Pods(s.Namespace).Get(ctx, "shop-db-0", metav1.GetOptions{})
		if err != nil || pod.Status.ContainerStatuses[0].RestartCount == before {
			return false, "not restarted yet", err
		}
		conn, err := s.Connect(ctx)
		if err != nil {
			return false, "", err
		}
		return true, "", conn.Close(ctx)
	})
}
