package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Approval says who lets a contract step go ahead.
// +kubebuilder:validation:Enum=Auto;Manual
type Approval string

const (
	// ApprovalAuto: a contract step runs as soon as its readers are gone and the soak time is over.
	ApprovalAuto Approval = "Auto"
	// ApprovalManual: it also waits for the annotation interlock.dev/approve with the plan's hash.
	ApprovalManual Approval = "Manual"
)

// SchemaMigrationSpec says which versions of a series a database shall have.
// +kubebuilder:validation:XValidation:rule="has(self.configMapRef) != has(self.inline)",message="exactly one of configMapRef and inline says where the migration files are"
// +kubebuilder:validation:XValidation:rule="self.series == oldSelf.series && self.databaseRef.name == oldSelf.databaseRef.name",message="series and databaseRef can not change; create another SchemaMigration"
type SchemaMigrationSpec struct {
	// DatabaseRef names the Database, in the same namespace.
	// +required
	DatabaseRef LocalReference `json:"databaseRef"`

	// Series is the name of this history of migrations. Names are unique in a namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +required
	Series string `json:"series"`

	// ConfigMapRef names a ConfigMap whose keys are file names and whose values are goose SQL files.
	// +optional
	ConfigMapRef *LocalReference `json:"configMapRef,omitempty"`

	// Inline holds goose SQL files by name.
	// +kubebuilder:validation:MaxProperties=512
	// +optional
	Inline map[string]string `json:"inline,omitempty"`

	// TargetVersion is the version to go to. Empty: the newest in the source.
	// +kubebuilder:validation:Minimum=1
	// +optional
	TargetVersion *int64 `json:"targetVersion,omitempty"`

	// Revision is where the source comes from (main@sha1:…), for messages and receipts.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Revision string `json:"revision,omitempty"`

	// Contract says when contract steps may run.
	// +kubebuilder:default={}
	// +optional
	Contract ContractPolicy `json:"contract,omitempty"`

	// Suspend stops Interlock from starting anything new for this series.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// ContractPolicy says when contract steps may run.
type ContractPolicy struct {
	// Approval: Auto, or Manual to wait for the annotation interlock.dev/approve with the plan's hash.
	// +kubebuilder:default=Auto
	// +optional
	Approval Approval `json:"approval,omitempty"`

	// Soak is how long no old reader must have been there before a contract step runs. While it lasts, going
	// back is still possible.
	// +kubebuilder:default="0s"
	// +optional
	Soak metav1.Duration `json:"soak,omitempty"`
}

// FenceState is how far a fence is.
// +kubebuilder:validation:Enum="";Proposed;Held;Committed
type FenceState string

const (
	// FenceNone: there is no fence.
	FenceNone FenceState = ""
	// FenceProposed: no reader below is left; the fence is being published.
	FenceProposed FenceState = "Proposed"
	// FenceHeld: the fence stands and was proved to stand; readers are counted once more.
	FenceHeld FenceState = "Held"
	// FenceCommitted: the contract step ran; nothing below the fence comes back.
	FenceCommitted FenceState = "Committed"
)

// FenceStatus is the fence of a series, as the journal in the database has it.
type FenceStatus struct {
	// State of the fence.
	// +optional
	State FenceState `json:"state,omitempty"`
	// Version below which nothing may run or start.
	// +optional
	Version int64 `json:"version,omitempty"`
	// Committed is the version of the last fence that was committed.
	// +optional
	Committed int64 `json:"committed,omitempty"`
	// OldestRevision is the oldest revision that still works.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	OldestRevision string `json:"oldestRevision,omitempty"`
}

// Holder is somebody a contract step waits for.
type Holder struct {
	// Kind: Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob, Session, Unknown.
	// +required
	Kind string `json:"kind"`
	// Name of the object; a session's process id and role.
	// +required
	Name string `json:"name"`
	// Version it was built for; 0 when that is not known.
	// +optional
	Version int64 `json:"version,omitempty"`
	// Reason says why it counts and what releases it.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Reason string `json:"reason,omitempty"`
}

// MaxHolders is the number of holders that a status names; the rest is counted.
const MaxHolders = 10

// SchemaStep is one step of the plan.
type SchemaStep struct {
	// Version of the migration.
	// +required
	Version int64 `json:"version"`
	// Name of its file.
	// +required
	Name string `json:"name"`
	// Phase: expand, backfill or contract.
	// +required
	Phase string `json:"phase"`
	// State: Pending, Running, Waiting, Verified or Failed.
	// +required
	State string `json:"state"`
	// Message says what it does or waits for.
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Message string `json:"message,omitempty"`
}

// MaxSteps is the number of steps that a status lists: those that are not verified, then the newest.
const MaxSteps = 16

// SchemaMigrationStatus is how far a series is.
type SchemaMigrationStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Reconciling, Stalled, Contracted.
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Phase: Pending, Plan, Expand, Backfill, Contract or Done.
	// +optional
	Phase string `json:"phase,omitempty"`

	// TargetVersion that Ready speaks of.
	// +optional
	TargetVersion int64 `json:"targetVersion,omitempty"`

	// SourceDigest is the SHA-256 of the files that Ready speaks of.
	// +optional
	SourceDigest string `json:"sourceDigest,omitempty"`

	// ReadyVersion is the largest version up to which every expand and backfill step is verified.
	// +optional
	ReadyVersion int64 `json:"readyVersion,omitempty"`

	// ContractedVersion is the largest version up to which every step, contract too, is applied.
	// +optional
	ContractedVersion int64 `json:"contractedVersion,omitempty"`

	// PlanHash identifies the steps that are still to run; approval names it.
	// +optional
	PlanHash string `json:"planHash,omitempty"`

	// WaitingOn says in a few words what the next step waits for.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	WaitingOn string `json:"waitingOn,omitempty"`

	// Fence of the series.
	// +optional
	Fence FenceStatus `json:"fence,omitempty"`

	// QuietSince is since when no reader below the next contract step was seen.
	// +optional
	QuietSince *metav1.Time `json:"quietSince,omitempty"`

	// QuietBelow is the version that QuietSince speaks of.
	// +optional
	QuietBelow int64 `json:"quietBelow,omitempty"`

	// Holders are those that the next contract step waits for, at most ten.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +optional
	Holders []Holder `json:"holders,omitempty"`

	// HoldersTotal counts all holders.
	// +optional
	HoldersTotal int32 `json:"holdersTotal,omitempty"`

	// Steps of the plan, at most sixteen.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +optional
	Steps []SchemaStep `json:"steps,omitempty"`

	// History of receipts, the newest last.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=30
	// +optional
	History []Receipt `json:"history,omitempty"`

	// LastHandledReconcileAt is the last value of the reconcile-now annotation that was acted on.
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// SchemaMigration brings a series of a Database to a version, in expand, backfill and contract steps.
// Ready=True means: every expand and backfill step up to the target is applied and verified, so code of that
// version may start. A contract step that waits is Contracted=False and does not touch Ready.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=interlock,shortName=smig
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Version",type=integer,JSONPath=`.status.readyVersion`
// +kubebuilder:printcolumn:name="Target",type=integer,JSONPath=`.status.targetVersion`
// +kubebuilder:printcolumn:name="Fence",type=integer,JSONPath=`.status.fence.committed`
// +kubebuilder:printcolumn:name="Contracted",type=string,JSONPath=`.status.conditions[?(@.type=="Contracted")].status`
// +kubebuilder:printcolumn:name="Waiting on",type=string,JSONPath=`.status.waitingOn`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type SchemaMigration struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what is wanted.
	// +required
	Spec SchemaMigrationSpec `json:"spec"`
	// Status is how far it is.
	// +optional
	Status SchemaMigrationStatus `json:"status,omitempty"`
}

// SchemaMigrationList is a list of SchemaMigrations.
//
// +kubebuilder:object:root=true
type SchemaMigrationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SchemaMigration `json:"items"`
}

// GetConditions returns the conditions, for fluxcd/pkg/runtime.
func (m *SchemaMigration) GetConditions() []metav1.Condition { return m.Status.Conditions }

// SetConditions replaces the conditions, for fluxcd/pkg/runtime.
func (m *SchemaMigration) SetConditions(c []metav1.Condition) { m.Status.Conditions = c }
