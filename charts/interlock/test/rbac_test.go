package test

import (
	"fmt"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// allowed is nil if the API server's answer for that user is the wanted one.
func allowed(t *testing.T, user string, want bool, ns, group, resource, verb string) error {
	t.Helper()
	admin, _ := as(t, "")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: ns, Group: group, Resource: resource, Verb: verb, Name: "x",
		},
	}}
	if err := admin.Create(t.Context(), review); err != nil {
		return err
	}
	if review.Status.Allowed != want {
		return fmt.Errorf("%s %s %s.%s in %s: allowed %v, want %v", user, verb, resource, group, ns, review.Status.Allowed, want)
	}
	return nil
}

func TestOperatorHasLeastPrivilege(t *testing.T) {
	tests := []struct {
		ns, group, resource, verb string
		want                      bool
	}{
		{ns: "app", group: "interlock.dev", resource: "schemamigrations", verb: "create", want: true},
		{ns: "app", group: "interlock.dev", resource: "schemamigrations", verb: "approve"},
		{ns: "app", group: "interlock.dev", resource: "databases", verb: "patch", want: true},
		{ns: "app", group: "interlock.dev", resource: "databases", verb: "create"},
		{ns: "app", group: "interlock.dev", resource: "databases", verb: "delete"},
		{ns: "app", resource: "pods", verb: "watch", want: true},
		{ns: "app", resource: "pods", verb: "patch", want: true},
		{ns: "app", resource: "pods", verb: "create"},
		{ns: "app", resource: "pods", verb: "delete"},
		{ns: "app", group: "apps", resource: "deployments", verb: "watch", want: true},
		{ns: "app", group: "apps", resource: "deployments", verb: "patch"},
		{ns: "app", resource: "podtemplates", verb: "create", want: true},
		{ns: "app", resource: "podtemplates", verb: "delete"},
		{ns: "app", resource: "secrets", verb: "get", want: true},
		{ns: "app", resource: "secrets", verb: "list"},
		{ns: "app", resource: "secrets", verb: "watch"},
		{ns: "app", resource: "secrets", verb: "patch"},
		{ns: "app", resource: "serviceaccounts", verb: "impersonate", want: true},
		{ns: "app", resource: "users", verb: "impersonate"},
		{ns: "app", resource: "groups", verb: "impersonate"},
		{ns: "app", group: "coordination.k8s.io", resource: "leases", verb: "update"},
		{ns: namespace, group: "coordination.k8s.io", resource: "leases", verb: "update", want: true},
		{ns: "default", group: "discovery.k8s.io", resource: "endpointslices", verb: "get", want: true},
		{ns: "app", group: "discovery.k8s.io", resource: "endpointslices", verb: "get"},
		{ns: "app", group: "cert-manager.io", resource: "certificates", verb: "create", want: true},
		{ns: "app", group: "networking.k8s.io", resource: "ingresses", verb: "create"},
		{group: "admissionregistration.k8s.io", resource: "validatingadmissionpolicies", verb: "patch"},
		{group: "rbac.authorization.k8s.io", resource: "clusterroles", verb: "bind"},
	}
	for _, tt := range tests {
		if err := allowed(t, operatorUser, tt.want, tt.ns, tt.group, tt.resource, tt.verb); err != nil {
			t.Error(err)
		}
	}
}

func TestRolesForPeople(t *testing.T) {
	ns := newNamespace(t, nil)
	for user, roles := range map[string][]string{
		"viewer": {"interlock-view"}, "editor": {"interlock-edit"}, "platform": {"interlock-admin"}, "signer": {"interlock-approve"},
	} {
		for _, role := range roles {
			bind(t, ns, user, "ClusterRole", role)
		}
	}
	tests := []struct {
		user, resource, verb string
		want                 bool
	}{
		{user: "viewer", resource: "schemamigrations", verb: "get", want: true},
		{user: "viewer", resource: "schemamigrations", verb: "patch"},
		{user: "viewer", resource: "schemamigrations", verb: "approve"},
		{user: "editor", resource: "appbundles", verb: "create", want: true},
		{user: "editor", resource: "schemamigrations", verb: "patch", want: true},
		{user: "editor", resource: "schemamigrations", verb: "approve"},
		{user: "editor", resource: "databases", verb: "patch"},
		{user: "platform", resource: "databases", verb: "patch", want: true},
		{user: "platform", resource: "schemamigrations", verb: "approve"},
		{user: "signer", resource: "schemamigrations", verb: "approve", want: true},
		{user: "signer", resource: "schemamigrations", verb: "create"},
	}
	for _, tt := range tests {
		if err := allowed(t, tt.user, tt.want, ns, "interlock.dev", tt.resource, tt.verb); err != nil {
			t.Error(err)
		}
	}
}
