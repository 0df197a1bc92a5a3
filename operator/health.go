package main

import (
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap/zapcore"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

// logLevel reads the flag --log-level.
func logLevel(name string) (zapcore.Level, error) {
	switch name {
	case "debug", "info", "error":
		return zapcore.ParseLevel(name)
	}
	return 0, fmt.Errorf("--log-level %q is not debug, info or error", name)
}

// readyWhenSynced is true once the caches hold everything that was present at start.
func readyWhenSynced(mgr ctrl.Manager) healthz.Checker {
	return func(req *http.Request) error {
		if !mgr.GetCache().WaitForCacheSync(req.Context()) {
			return errors.New("the caches are not filled yet")
		}
		return nil
	}
}
