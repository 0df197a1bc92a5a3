package appbundle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// A bundle whose trouble changes its words (ErrImagePull, ImagePullBackOff) runs out of time all the same, and one that
// ran out of time does not begin anew.
func TestSettlingSince(t *testing.T) {
	applied := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	now := applied.Add(10 * time.Minute)
	tests := map[string]struct {
		status metav1.ConditionStatus
		reason string
		at     time.Time
		want   time.Time
	}{
		"since it was applied":                {metav1.ConditionUnknown, ReasonSettling, applied, applied},
		"it was healthy until now":            {metav1.ConditionTrue, ReasonApplied, applied.Add(time.Minute), now},
		"it ceased to be healthy later":       {metav1.ConditionUnknown, ReasonSettling, applied.Add(5 * time.Minute), applied.Add(5 * time.Minute)},
		"it had its time":                     {metav1.ConditionFalse, ReasonHealthCheckFailed, applied.Add(5 * time.Minute), time.Time{}},
		"the revision before it had its time": {metav1.ConditionFalse, ReasonHealthCheckFailed, applied.Add(-time.Minute), applied},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			obj := &v1alpha1.AppBundle{}
			obj.Status.History = []v1alpha1.Receipt{{Phase: PhaseApply, Revision: "r", Time: metav1.NewTime(applied)}}
			obj.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ReadyCondition, Status: tt.status, Reason: tt.reason, LastTransitionTime: metav1.NewTime(tt.at)}}
			s := &scope{obj: obj, before: obj.DeepCopy(), revision: "r"}
			if got := s.settlingSince(now); !got.Equal(tt.want) {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
