package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that more than one part of Interlock, or a user, depends on.
const (
	// FieldOwner is the field manager of everything that Interlock applies server-side.
	FieldOwner = "interlock"
	// Finalizer is on every object of ours that has something to clean up.
	Finalizer = "interlock.dev/finalizer"

	// StampedLabel marks a pod, or a pod template, that carries at least one schema stamp. It is the one
	// fixed label by which the admission policies select, so that other pods cost nothing.
	StampedLabel = "interlock.dev/stamped"
	// StampLabelPrefix followed by the label key of a series is the label that says which version of that
	// series the images of a pod were built for.
	StampLabelPrefix = "schema.interlock.dev/"
	// StampImagesAnnotation lists the images that the stamps of a pod speak for, as
	// "container=image,container=image" in order of container name.
	StampImagesAnnotation = "schema.interlock.dev/images"
	// SchemaGate is the scheduling gate of a pod whose stamp is above what its database is ready for.
	SchemaGate = "interlock.dev/schema"

	// ParamsName is the name of the ConfigMap, one in each namespace that has a SchemaMigration, that the
	// admission policies read. Only Interlock writes it. For every series it has the keys
	// "<key>.ready", "<key>.min" and "<key>.hint", and for the namespace "fenced-secrets" and "exempt".
	ParamsName = "interlock-schema"
	// ParamsAuditName is the ConfigMap of the policies that only warn: what would have been held or refused
	// for databases with enforcement Audit. Same keys as ParamsName.
	ParamsAuditName = "interlock-schema-audit"
	// ParamsReadySuffix: the largest version up to which every expand and backfill step is verified.
	ParamsReadySuffix = ".ready"
	// ParamsMinSuffix: the fence. Stamps below it are refused. "0" when there is none.
	ParamsMinSuffix = ".min"
	// ParamsHintSuffix: the oldest revision that still works, in words, for the refusal's message.
	ParamsHintSuffix = ".hint"
	// ParamsFencedSecrets: Secrets, separated by commas, of databases with a held fence. An unstamped pod
	// that uses one of them is refused.
	ParamsFencedSecrets = "fenced-secrets"
	// ParamsExempt: service accounts, separated by commas, whose pods may use fenced Secrets unstamped.
	ParamsExempt = "exempt"

	// ApproveAnnotation on a SchemaMigration approves the contract steps of the plan with that hash.
	ApproveAnnotation = "interlock.dev/approve"
	// BreakGlassLabel on a namespace, with the reason as its value, makes the admission policies warn
	// instead of refuse there.
	BreakGlassLabel = "interlock.dev/break-glass"
	// BundleLabel is on every object that an AppBundle applies: the bundle's name.
	BundleLabel = "interlock.dev/bundle"
)

// Condition types that every kind has, as kstatus understands them, and Contracted.
const (
	// ReadyCondition: see each kind for what it promises.
	ReadyCondition = "Ready"
	// ReconcilingCondition is True while Interlock is on its way to the desired state.
	ReconcilingCondition = "Reconciling"
	// StalledCondition is True when only a change of the spec, the source or a referred object can help.
	StalledCondition = "Stalled"
	// ContractedCondition is False while a contract step waits; its message says for whom.
	ContractedCondition = "Contracted"
)

// LocalReference names an object in the same namespace.
type LocalReference struct {
	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
}

// SecretKeyReference names a key of a Secret in the same namespace.
type SecretKeyReference struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`

	// Key within the Secret's data. Defaults to "uri".
	// +kubebuilder:default=uri
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Key string `json:"key,omitempty"`
}

// Receipt records one finished phase: what was decided, on which evidence, under which assumptions.
type Receipt struct {
	// Phase that finished, for example Expand.
	// +kubebuilder:validation:MaxLength=32
	// +required
	Phase string `json:"phase"`

	// Revision that the phase worked on.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Revision string `json:"revision,omitempty"`

	// Message says what was decided and what it rests on.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Message string `json:"message,omitempty"`

	// Time at which the phase finished.
	// +required
	Time metav1.Time `json:"time"`

	// DurationMillis is how long the phase took, in milliseconds.
	// +kubebuilder:validation:Minimum=0
	// +optional
	DurationMillis int64 `json:"durationMillis,omitempty"`
}

// MaxHistory is the number of receipts that a status keeps.
const MaxHistory = 30

// AppendReceipt adds a receipt at the end and drops the oldest ones beyond MaxHistory.
func AppendReceipt(history []Receipt, r Receipt) []Receipt {
	history = append(history, r)
	if over := len(history) - MaxHistory; over > 0 {
		history = history[over:]
	}
	return history
}
