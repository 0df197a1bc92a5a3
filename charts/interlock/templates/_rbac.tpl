{{/* What the operator needs in every namespace that it looks at; each rule says why. */}}
{{- define "interlock.rbac.rules" -}}
# Its own kinds: read what is wanted, add and take away the finalizer.
- apiGroups: [interlock.dev]
  resources: [appbundles, databases, schemamigrations]
  verbs: [get, list, watch, update, patch]
# An AppBundle makes, and prunes, a SchemaMigration for each series in it. Note: not the verb approve.
- apiGroups: [interlock.dev]
  resources: [schemamigrations]
  verbs: [create, delete]
- apiGroups: [interlock.dev]
  resources: [appbundles/status, databases/status, schemamigrations/status]
  verbs: [get, update, patch]
# To own what it makes (blockOwnerDeletion).
- apiGroups: [interlock.dev]
  resources: [appbundles/finalizers, databases/finalizers, schemamigrations/finalizers]
  verbs: [update]
# Readers are counted over pods; a held pod is let go by taking off its scheduling gate.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, update]
# Templates are readers too, and their roll-out is watched. Never written: a bundle is applied as its own
# service account.
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets, replicasets]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [replicationcontrollers]
  verbs: [get, list, watch]
# PodTemplates are read as templates. Created only as a dry run: the proof that a fence stands.
- apiGroups: [""]
  resources: [podtemplates]
  verbs: [get, list, watch, create]
# The params objects of the admission policies, inventories, and migrations that come in a ConfigMap.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, update, patch, delete]
# Connection strings and Git credentials, read by name where an object refers to them. No list, no watch.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
# A finalizer yields in a namespace that is being deleted; and whether the glass was broken there.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
# Bundles are applied as the service account that they name, with no more rights than that.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [impersonate]
# Every transition is an event.
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# A certificate for every host that a bundle exposes.
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [get, list, watch, create, patch, delete]
{{- end -}}

{{/* The common namespaced kinds of an app: what the operator may apply for bundles without a service account. */}}
{{- define "interlock.rbac.bundleRules" -}}
- apiGroups: [""]
  resources: [configmaps, secrets, services, serviceaccounts, persistentvolumeclaims, podtemplates]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [ingresses, networkpolicies]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, gateways]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, update, patch, delete]
{{- end -}}

{{/* A binding of the ClusterRole of that name to the operator: cluster-wide, or one in each watched namespace. */}}
{{- define "interlock.rbac.bind" -}}
{{- $ := .root }}
{{- $role := .role }}
{{- if $.Values.controller.watchNamespaces }}
{{- range $.Values.controller.watchNamespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $role }}
  namespace: {{ . }}
  labels:
    {{- include "interlock.labels" $ | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $role }}}
subjects:
  - {kind: ServiceAccount, name: {{ include "interlock.serviceAccountName" $ }}, namespace: {{ $.Release.Namespace }}}
{{- end }}
{{- else }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $role }}
  labels:
    {{- include "interlock.labels" $ | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $role }}}
subjects:
  - {kind: ServiceAccount, name: {{ include "interlock.serviceAccountName" $ }}, namespace: {{ $.Release.Namespace }}}
{{- end }}
{{- end -}}
