package scenarios

import (
	"strings"
	"testing"

	"github.com/interlock-dev/interlock/e2e/internal/harness"
)

// onePod is the name of a pod of the shop.
func onePod(t *testing.T, s *harness.Shop) string {
	t.Helper()
	out, err := s.RunKubectl(t.Context(), "get", "pods", "-l", "app=shop", "-o", "jsonpath={.items[0].metadata.name}")
	must(t, err)
	return strings.TrimSpace(out)
}
