package readers

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
	"github.com/interlock-dev/interlock/reconcilers/internal/podspec"
)

// Template is a workload that can make pods.
type Template struct {
	// Kind and Name of the workload.
	Kind, Name string
	// Pods is its pod template.
	Pods corev1.PodTemplateSpec
	// Active says whether it makes pods by itself: it has replicas, a schedule that is not suspended, or is
	// not finished.
	Active bool
}

// Input is everything that the count rests on.
type Input struct {
	// Series and Need: nobody below Need may read Series.
	Series string
	Need   int64
	// Readers of the Database.
	Readers v1alpha1.DatabaseReaders
	// Pods of the namespace, Terminating ones included.
	Pods []corev1.Pod
	// Templates of the namespace.
	Templates []Template
	// Sessions of the database, listed after the pods.
	Sessions []postgres.Session
}

// Judge returns everybody who may read the series at a version below Need. What is unknown holds: an
// unstamped pod with a Secret of the database, a stamp that is no number, a session that belongs to no pod.
func Judge(in Input) []v1alpha1.Holder {
	var holders []v1alpha1.Holder
	for i := range in.Templates {
		if h, holds := in.template(in.Templates[i]); holds {
			holders = append(holders, h)
		}
	}
	for i := range in.Pods {
		if h, holds := in.pod(&in.Pods[i]); holds {
			holders = append(holders, h)
		}
	}
	for _, s := range in.Sessions {
		if h, holds := in.session(s); holds {
			holders = append(holders, h)
		}
	}
	return holders
}

// verdict is what a stamp says about a reader.
type verdict struct {
	reads   bool
	version int64
	reason  string
}

// stamp judges a pod or a template. A stamp counts only where the admission policies guard it, which they do by
// the fixed label, and only for the containers whose images it lists.
func (in Input) stamp(meta metav1.ObjectMeta, spec corev1.PodSpec) verdict {
	containers := podspec.ReaderContainers(spec, in.Readers.Secrets)
	_, guarded := meta.Labels[v1alpha1.StampedLabel]
	if value, ok := meta.Labels[v1alpha1.StampLabel(in.Series)]; ok {
		version, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil || version < 0:
			return verdict{reads: true, reason: fmt.Sprintf("its stamp %q is not a version", value)}
		case !guarded:
			return verdict{reads: true, reason: "its stamp lacks the label " + v1alpha1.StampedLabel + ", so nothing guards it"}
		}
		if name := uncovered(meta, containers); name != "" {
			return verdict{reads: true, reason: fmt.Sprintf("its stamp does not speak for container %s, which takes a Secret of the database", name)}
		}
		return verdict{reads: true, version: version, reason: fmt.Sprintf("it was built for %s@%d", in.Series, version)}
	}
	if guarded || slices.Contains(in.Readers.ExemptServiceAccounts, spec.ServiceAccountName) {
		return verdict{}
	}
	if len(containers) > 0 {
		return verdict{reads: true, reason: "it uses a Secret of the database and has no stamp, so it may read any version"}
	}
	return verdict{}
}

// uncovered returns a container whose image the stamp does not list; empty if there is none.
func uncovered(meta metav1.ObjectMeta, containers map[string]string) string {
	said := v1alpha1.ParseStampImages(meta.Annotations[v1alpha1.StampImagesAnnotation])
	for _, name := range slices.Sorted(maps.Keys(containers)) {
		if said[name] != containers[name] {
			return name
		}
	}
	return ""
}

func (in Input) template(t Template) (v1alpha1.Holder, bool) {
	v := in.stamp(t.Pods.ObjectMeta, t.Pods.Spec)
	if !t.Active || !v.reads || v.version >= in.Need {
		return v1alpha1.Holder{}, false
	}
	return v1alpha1.Holder{Kind: t.Kind, Name: t.Name, Version: v.version,
		Reason: v.reason + "; roll it out with an image built for " + in.need() + ", or delete it"}, true
}

func (in Input) pod(p *corev1.Pod) (v1alpha1.Holder, bool) {
	if finished(p) {
		return v1alpha1.Holder{}, false
	}
	v := in.stamp(p.ObjectMeta, p.Spec)
	if !v.reads || v.version >= in.Need {
		return v1alpha1.Holder{}, false
	}
	release := "; it goes when its workload rolls out " + in.need()
	if p.DeletionTimestamp != nil {
		release = "; it is terminating and is waited for"
	}
	return v1alpha1.Holder{Kind: "Pod", Name: p.Name, Version: v.version, Reason: v.reason + release}, true
}

func (in Input) need() string { return fmt.Sprintf("%s@%d or newer", in.Series, in.Need) }

// session judges a database session by the pod that it belongs to. A pod that was counted above already
// holds the step in its own name, so its sessions are not named again.
func (in Input) session(s postgres.Session) (v1alpha1.Holder, bool) {
	name := fmt.Sprintf("pid %d, role %s", s.PID, clip(s.Role, 64))
	p := in.owner(s)
	switch {
	case p == nil:
		return v1alpha1.Holder{Kind: "Session", Name: name, Reason: "it comes from " + origin(s) +
			" and belongs to no listed pod; end it, or name its role in the Database's readers.ignoreRoles"}, true
	case in.stamp(p.ObjectMeta, p.Spec).reads, in.known(p):
		return v1alpha1.Holder{}, false
	default:
		return v1alpha1.Holder{Kind: "Session", Name: name, Reason: fmt.Sprintf(
			"it comes from pod %s, which has no stamp and none of the Database's readers.secrets; add the Secret that it uses there", p.Name)}, true
	}
}

// known says whether a pod was declared not to read the series: by stamps of other series, or as exempt.
func (in Input) known(p *corev1.Pod) bool {
	return p.Labels[v1alpha1.StampedLabel] != "" || slices.Contains(in.Readers.ExemptServiceAccounts, p.Spec.ServiceAccountName)
}

func origin(s postgres.Session) string {
	from := "a local connection"
	if s.ClientAddr.IsValid() {
		from = s.ClientAddr.String()
	}
	if s.ApplicationName != "" {
		from += fmt.Sprintf(" (application %q)", clip(s.ApplicationName, 64))
	}
	return from
}

// owner returns the pod that a session belongs to: the one with its address, if the session began after the
// pod did. A pod in the host's network has no address of its own and owns nothing.
func (in Input) owner(s postgres.Session) *corev1.Pod {
	if !s.ClientAddr.IsValid() {
		return nil
	}
	for i := range in.Pods {
		p := &in.Pods[i]
		if p.Spec.HostNetwork || finished(p) || p.Status.StartTime == nil || s.BackendStart.Before(p.Status.StartTime.Time) {
			continue
		}
		if hasAddress(p, s.ClientAddr) {
			return p
		}
	}
	return nil
}

func finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func hasAddress(p *corev1.Pod, addr netip.Addr) bool {
	for _, ip := range p.Status.PodIPs {
		if a, err := netip.ParseAddr(ip.IP); err == nil && a.Unmap() == addr.Unmap() {
			return true
		}
	}
	return false
}

func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
