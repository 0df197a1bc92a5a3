package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AppBundleSpec says where an app's code, schema and certificates come from.
type AppBundleSpec struct {
	// Interval at which the source is looked at and drift is put right.
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Interval metav1.Duration `json:"interval,omitempty"`

	// Timeout of one phase: fetching, or waiting for objects to become healthy.
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern="^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$"
	// +optional
	Timeout metav1.Duration `json:"timeout,omitempty"`

	// Git is the repository that the bundle comes from.
	// +required
	Git GitSource `json:"git"`

	// Path of the manifests within the repository: plain YAML, or a folder with a kustomization.
	// +kubebuilder:default="./"
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Path string `json:"path,omitempty"`

	// Prune deletes what the bundle applied once and no longer contains.
	// +kubebuilder:default=true
	// +optional
	Prune *bool `json:"prune,omitempty"`

	// ServiceAccountName is who Interlock acts as when it applies the bundle, in the bundle's namespace.
	// Empty: the operator's default.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// Migrations are the series of schema migrations that this bundle owns.
	// +listType=map
	// +listMapKey=series
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Migrations []BundleMigrations `json:"migrations,omitempty"`

	// Uses are other series that this bundle's workloads read.
	// +listType=map
	// +listMapKey=series
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Uses []UsedSeries `json:"uses,omitempty"`

	// TLS provisions a certificate for every host that the bundle exposes.
	// +optional
	TLS *BundleTLS `json:"tls,omitempty"`

	// Suspend stops Interlock from starting anything new for this bundle. What runs keeps running.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// GitSource is a Git repository and what to check out of it.
type GitSource struct {
	// URL of the repository, https:// or http://.
	// +kubebuilder:validation:Pattern="^https?://.*$"
	// +kubebuilder:validation:MaxLength=2048
	// +required
	URL string `json:"url"`

	// Ref to check out. Empty: the branch main.
	// +optional
	Ref GitRef `json:"ref,omitempty"`

	// SecretRef names a Secret with username and password, or bearerToken, and optionally ca.crt.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
}

// GitRef is a branch, a tag or a commit. A commit wins over a tag, a tag over a branch.
type GitRef struct {
	// Branch to follow.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Branch string `json:"branch,omitempty"`
	// Tag to check out.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Tag string `json:"tag,omitempty"`
	// Commit to check out, in full. With Branch set it must be on that branch.
	// +kubebuilder:validation:Pattern="^([0-9a-f]{40})?$"
	// +optional
	Commit string `json:"commit,omitempty"`
}

// BundleMigrations is a series of migrations in the bundle's repository.
type BundleMigrations struct {
	// Series is the name of this history of migrations. Names are unique in a namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Series string `json:"series"`
	// DatabaseRef names the Database, in the same namespace.
	// +required
	DatabaseRef LocalReference `json:"databaseRef"`
	// Path of the goose SQL files within the repository.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +required
	Path string `json:"path"`
	// Contract says when contract steps may run.
	// +kubebuilder:default={}
	// +optional
	Contract ContractPolicy `json:"contract,omitempty"`
}

// UsedSeries is a series of another bundle.
type UsedSeries struct {
	// Series is the name of the series that is read.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +required
	Series string `json:"series"`
}

// BundleTLS says who issues the certificates of a bundle.
type BundleTLS struct {
	// IssuerRef names a cert-manager Issuer or ClusterIssuer.
	// +required
	IssuerRef IssuerReference `json:"issuerRef"`
}

// IssuerReference names a cert-manager issuer.
type IssuerReference struct {
	// Kind: Issuer or ClusterIssuer.
	// +kubebuilder:default=Issuer
	// +kubebuilder:validation:Enum=Issuer;ClusterIssuer
	// +optional
	Kind string `json:"kind,omitempty"`
	// Name of the issuer.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
}

// InventoryEntry names an object that the bundle applied.
type InventoryEntry struct {
	// ID of the object: namespace_name_group_kind.
	// +required
	ID string `json:"id"`
	// Version of its API.
	// +required
	Version string `json:"v"`
}

// BundleSchema is how far a series is, for this bundle.
type BundleSchema struct {
	// Series name.
	// +required
	Series string `json:"series"`
	// Target is the version of this revision's tree.
	// +optional
	Target int64 `json:"target,omitempty"`
	// Ready is the version that code may be built for.
	// +optional
	Ready int64 `json:"ready,omitempty"`
	// Fence is the version below which nothing comes back.
	// +optional
	Fence int64 `json:"fence,omitempty"`
}

// AppBundleStatus is how far a bundle is.
type AppBundleStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Reconciling, Stalled, Contracted.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Phase: Fetch, Verify, Render, Check, Plan, Expand, Backfill, Certify, Apply, Settle, Prune, Contract or
	// Done. Verify has nothing to do yet and is passed over.
	// +optional
	Phase string `json:"phase,omitempty"`

	// WaitingOn says in a few words what the phase waits for.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	WaitingOn string `json:"waitingOn,omitempty"`

	// LastAttemptedRevision is the revision that Interlock works on, or failed at.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	LastAttemptedRevision string `json:"lastAttemptedRevision,omitempty"`

	// LastAppliedRevision is the last revision that was applied in full.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	LastAppliedRevision string `json:"lastAppliedRevision,omitempty"`

	// Schema of each series of the bundle.
	// +listType=map
	// +listMapKey=series
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Schema []BundleSchema `json:"schema,omitempty"`

	// Inventory lists what the bundle applied and not yet deleted.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5000
	// +optional
	Inventory []InventoryEntry `json:"inventory,omitempty"`

	// History of receipts, the newest last.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=30
	// +optional
	History []Receipt `json:"history,omitempty"`

	// LastHandledReconcileAt is the last value of the reconcile-now annotation that was acted on.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// AppBundle brings an app's manifests, schema migrations and certificates from Git into the cluster, in an
// order that cannot race. Ready=True means: the revision is applied, healthy, and no new pod waits.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=interlock,shortName=bundle
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Revision",type=string,JSONPath=`.status.lastAppliedRevision`
// +kubebuilder:printcolumn:name="Contracted",type=string,JSONPath=`.status.conditions[?(@.type=="Contracted")].status`
// +kubebuilder:printcolumn:name="Waiting on",type=string,JSONPath=`.status.waitingOn`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AppBundle struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the app team wants.
	// +required
	Spec AppBundleSpec `json:"spec"`
	// Status is how far it is.
	// +optional
	Status AppBundleStatus `json:"status,omitempty"`
}

// AppBundleList is a list of AppBundles.
//
// +kubebuilder:object:root=true
type AppBundleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AppBundle `json:"items"`
}

// GetConditions returns the conditions, for fluxcd/pkg/runtime.
func (b *AppBundle) GetConditions() []metav1.Condition { return b.Status.Conditions }

// SetConditions replaces the conditions, for fluxcd/pkg/runtime.
func (b *AppBundle) SetConditions(c []metav1.Condition) { b.Status.Conditions = c }
