package pgtest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// Superuser and Password log in to every server that this package starts.
	Superuser = "postgres"
	Password  = "a-password-of-the-tests"

	binDir    = "/usr/lib/postgresql/17/bin/"
	dirPrefix = "interlock-pgtest-"
)

// Server is a PostgreSQL of its own on 127.0.0.1, with nothing in it.
type Server struct {
	// Port on 127.0.0.1; it stays the same over Stop and Start.
	Port int

	rootfs string
	dir    string // as seen from inside the root file system
	cred   *syscall.Credential
	lock   *os.File
	cmd    *exec.Cmd
	ended  chan struct{}
}

// NewServer starts a server that ends with the test. Tests that stop their server want one of their own.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s, err := newServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// Stop ends the server at once, as a crash does: no check point, no farewell to clients.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.stop()
}

// Start starts a stopped server on its data and its port, and waits until it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// URI is the address of a database for a role that logs in with Password.
func (s *Server) URI(role, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, Password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)), Path: database,
	}
	return u.String()
}

func newServer() (*Server, error) {
	rootfs, err := findRootfs()
	if err != nil {
		return nil, err
	}
	cred, err := postgresUser(rootfs)
	if err != nil {
		return nil, err
	}
	sweep(rootfs)
	s := &Server{rootfs: rootfs, cred: cred}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	if err := s.initdb(); err != nil {
		s.close()
		return nil, err
	}
	if s.Port, err = freePort(); err == nil {
		err = s.start()
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// findRootfs looks for the repository's root above the working directory of the test.
func findRootfs() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "hack", "rootfs.sh")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("pgtest: hack/rootfs.sh is in no folder above the test; run the tests inside the repository")
		}
		dir = parent
	}
	rootfs := filepath.Join(dir, ".local", "cache", "rootfs", "postgres")
	if _, err := os.Stat(rootfs + binDir + "postgres"); err != nil {
		return "", fmt.Errorf("pgtest: no PostgreSQL in %s; run: hack/rootfs.sh postgres (make test does it)", rootfs)
	}
	if os.Getuid() != 0 {
		return "", errors.New("pgtest: a PostgreSQL in a root file system of its own needs root (chroot); run the tests as root")
	}
	return rootfs, nil
}

func postgresUser(rootfs string) (*syscall.Credential, error) {
	passwd, err := os.ReadFile(filepath.Join(rootfs, "etc", "passwd"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(passwd)) {
		f := strings.Split(line, ":")
		if len(f) < 4 || f[0] != "postgres" {
			continue
		}
		uid, err1 := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
	}
	return nil, errors.New("pgtest: the root file system has no user postgres; build it again: hack/rootfs.sh postgres")
}

// makeDir takes a directory for data and holds a lock on it for as long as this process lives.
func (s *Server) makeDir() error {
	path, err := os.MkdirTemp(filepath.Join(s.rootfs, "tmp"), dirPrefix)
	if err != nil {
		return err
	}
	s.dir = "/tmp/" + filepath.Base(path)
	if s.lock, err = os.Create(path + "/lock"); err != nil {
		return err
	}
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	if err := os.WriteFile(path+"/password", []byte(Password), 0o644); err != nil {
		return err
	}
	return os.Chown(path, int(s.cred.Uid), int(s.cred.Gid))
}

// sweep removes what test binaries that were killed have left: directories whose lock nobody holds.
func sweep(rootfs string) {
	left, _ := filepath.Glob(filepath.Join(rootfs, "tmp", dirPrefix+"*"))
	for _, dir := range left {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue // perhaps on its way to its lock
		}
		f, err := os.Open(dir + "/lock")
		if err != nil {
			_ = os.RemoveAll(dir)
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		_ = f.Close()
	}
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(binDir+name, args...)
	cmd.Err = nil // it is looked for inside the root file system
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	// Who kills the test binary kills the server too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: s.rootfs, Credential: s.cred, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

func (s *Server) initdb() error {
	out, err := s.command("initdb", "-D", s.dir+"/data", "-U", Superuser, "-A", "scram-sha-256",
		"--pwfile", s.dir+"/password", "--no-sync", "--no-locale", "-E", "UTF8").CombinedOutput()
	if err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	return nil
}

// start keeps the operating system's thread that starts the server: the parent's death signal hangs on it.
func (s *Server) start() error {
	log, err := os.OpenFile(filepath.Join(s.rootfs, s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command("postgres", "-D", s.dir+"/data", "-p", strconv.Itoa(s.Port), "-k", s.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "max_connections=100", "-c", "shared_buffers=64MB", "-c", "dynamic_shared_memory_type=mmap",
		"-c", "max_wal_size=2GB", "-c", "jit=off", "-c", "authentication_timeout=5s")
	cmd.Stdout, cmd.Stderr = log, log
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
		runtime.UnlockOSThread()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	s.cmd, s.ended = cmd, ended
	return s.await()
}

// await waits for the line that postgres writes when it takes connections.
func (s *Server) await() error {
	pidFile := filepath.Join(s.rootfs, s.dir, "data", "postmaster.pid")
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(pidFile)
		lines := strings.Split(string(text), "\n")
		if len(lines) > 7 && lines[0] == strconv.Itoa(s.cmd.Process.Pid) && strings.HasPrefix(lines[7], "ready") {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("pgtest: postgres ended at once:\n%s", s.Log())
		default:
		}
	}
	return fmt.Errorf("pgtest: postgres is not ready after 30 s:\n%s", s.Log())
}

// Log is what the server has written so far.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.rootfs, s.dir, "log"))
	return string(text)
}

func (s *Server) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.cmd = nil
}

func (s *Server) close() {
	s.stop()
	_ = os.RemoveAll(filepath.Join(s.rootfs, s.dir))
	_ = s.lock.Close()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
