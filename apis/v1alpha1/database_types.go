package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Engine is a kind of database server.
// +kubebuilder:validation:Enum=Postgres
type Engine string

// EnginePostgres is PostgreSQL, 14 or newer.
const EnginePostgres Engine = "Postgres"

// Enforcement says whether Interlock holds and refuses, or only reports.
// +kubebuilder:validation:Enum=Enforce;Audit
type Enforcement string

const (
	// EnforcementEnforce holds early pods and refuses stranded ones.
	EnforcementEnforce Enforcement = "Enforce"
	// EnforcementAudit only reports what would have been held or refused, and never runs a contract step
	// without approval.
	EnforcementAudit Enforcement = "Audit"
)

// FenceKind is what makes a fence stand.
// +kubebuilder:validation:Enum=Admission
type FenceKind string

// FenceAdmission refuses old pods and templates at admission, at every API server.
const FenceAdmission FenceKind = "Admission"

// DatabaseSpec says how to reach a database and who reads it.
type DatabaseSpec struct {
	// Engine of the database server.
	// +kubebuilder:default=Postgres
	// +optional
	Engine Engine `json:"engine,omitempty"`

	// Connection is how Interlock logs in: directly, not through a pooler, as a role of its own that owns
	// the schema and is a member of pg_monitor.
	// +required
	Connection DatabaseConnection `json:"connection"`

	// Enforcement: Enforce, or Audit to report what would have been held or refused.
	// +kubebuilder:default=Enforce
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// Fence: what makes sure that no old reader comes back after a contract step.
	// +kubebuilder:default=Admission
	// +optional
	Fence FenceKind `json:"fence,omitempty"`

	// Readers tells Interlock how to recognise who uses this database.
	// +optional
	Readers DatabaseReaders `json:"readers,omitempty"`
}

// DatabaseConnection holds the reference to the connection string.
type DatabaseConnection struct {
	// SecretRef names the Secret, and the key in it, with a connection URI (postgres://…).
	// +required
	SecretRef SecretKeyReference `json:"secretRef"`
}

// DatabaseReaders tells who uses a database.
type DatabaseReaders struct {
	// Secrets that give access to this database. A container that takes one of them is a reader.
	// +kubebuilder:validation:MaxItems=32
	// +listType=set
	// +optional
	Secrets []string `json:"secrets,omitempty"`

	// IgnoreRoles are database roles whose sessions never hold a contract step, such as an exporter.
	// +kubebuilder:validation:MaxItems=32
	// +listType=set
	// +optional
	IgnoreRoles []string `json:"ignoreRoles,omitempty"`

	// ExemptServiceAccounts are service accounts whose pods may use the Secrets without a stamp: the
	// database's own pods, backups.
	// +kubebuilder:validation:MaxItems=32
	// +listType=set
	// +optional
	ExemptServiceAccounts []string `json:"exemptServiceAccounts,omitempty"`
}

// DatabaseStatus is what Interlock saw of a database.
type DatabaseStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Reconciling, Stalled.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// ServerVersion of the database, for example "17.6".
	// +optional
	ServerVersion string `json:"serverVersion,omitempty"`

	// SystemIdentifier of the database cluster; another one means another database.
	// +optional
	SystemIdentifier string `json:"systemIdentifier,omitempty"`

	// Timeline of the database; it grows at a failover or a restore.
	// +optional
	Timeline int64 `json:"timeline,omitempty"`

	// LastHandledReconcileAt is the last value of the reconcile-now annotation that was acted on.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// Database is a database whose schema Interlock changes, and how its readers are recognised.
// Ready=True means: Interlock can log in directly, sees every session, and may change the schema.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=interlock,shortName=idb
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Server",type=string,JSONPath=`.status.serverVersion`
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.spec.enforcement`
// +kubebuilder:printcolumn:name="Fence",type=string,JSONPath=`.spec.fence`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Database struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what the platform team wants.
	// +required
	Spec DatabaseSpec `json:"spec"`
	// Status is what Interlock saw.
	// +optional
	Status DatabaseStatus `json:"status,omitempty"`
}

// DatabaseList is a list of Databases.
//
// +kubebuilder:object:root=true
type DatabaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Database `json:"items"`
}

// GetConditions returns the conditions, for fluxcd/pkg/runtime.
func (d *Database) GetConditions() []metav1.Condition { return d.Status.Conditions }

// SetConditions replaces the conditions, for fluxcd/pkg/runtime.
func (d *Database) SetConditions(c []metav1.Condition) { d.Status.Conditions = c }
