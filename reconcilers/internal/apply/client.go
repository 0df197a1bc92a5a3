package apply

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Identity is who acts on the cluster.
type Identity struct {
	// Namespace and ServiceAccount to act as. An empty ServiceAccount: the operator itself.
	Namespace, ServiceAccount string
}

// User is the name that RBAC knows the identity by; "" for the operator itself.
func (i Identity) User() string {
	if i.ServiceAccount == "" {
		return ""
	}
	return fmt.Sprintf("system:serviceaccount:%s:%s", i.Namespace, i.ServiceAccount)
}

// Client returns a client that reads past any cache and acts as the identity.
func (i Identity) Client(config *rest.Config, mapper meta.RESTMapper, scheme *runtime.Scheme) (client.Client, error) {
	c := rest.CopyConfig(config)
	if user := i.User(); user != "" {
		// The API server adds the groups of a service account by itself.
		c.Impersonate = rest.ImpersonationConfig{UserName: user}
	}
	return client.New(c, client.Options{Scheme: scheme, Mapper: mapper})
}
