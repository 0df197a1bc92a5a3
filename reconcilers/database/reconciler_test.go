package database

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/pkg/runtime/conditions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
)

func TestSummarise(t *testing.T) {
	seen := postgres.Identity{SystemIdentifier: "77", Timeline: 2, ServerVersion: "17.6 (Debian 17.6-1)"}
	tests := map[string]struct {
		secrets     []string
		err         error
		wantStatus  metav1.ConditionStatus
		wantReason  string
		wantMessage string
		wantAfter   time.Duration
	}{
		"it answers":               {[]string{"shop-app"}, nil, metav1.ConditionTrue, ReasonReachable, "PostgreSQL 17.6 answers,", wellInterval},
		"no readers are named":     {nil, nil, metav1.ConditionTrue, ReasonReachable, "spec.readers.secrets is empty", wellInterval},
		"the Secret is missing":    {nil, secretError{errors.New("there is no Secret")}, metav1.ConditionFalse, ReasonSecretNotFound, "there is no Secret", sickInterval},
		"the password is wrong":    {nil, &postgres.Error{Reason: postgres.AuthenticationFailed, Message: "role shop can not log in"}, metav1.ConditionFalse, "AuthenticationFailed", "can not log in", sickInterval},
		"a pooler, behind a wrap":  {nil, fmt.Errorf("x: %w", &postgres.Error{Reason: postgres.PoolerRefused, Message: "a pooler"}), metav1.ConditionFalse, "PoolerRefused", "a pooler", sickInterval},
		"something without a name": {nil, errors.New("odd"), metav1.ConditionFalse, ReasonUnreachable, "odd", sickInterval},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			obj := &v1alpha1.Database{ObjectMeta: metav1.ObjectMeta{Name: "shop", Generation: 3}}
			obj.Spec.Readers.Secrets = tt.secrets
			after := summarise(obj, seen, tt.err)
			ready := conditions.Get(obj, v1alpha1.ReadyCondition)
			if ready.Status != tt.wantStatus || ready.Reason != tt.wantReason || !strings.Contains(ready.Message, tt.wantMessage) {
				t.Errorf("got %s %s %q", ready.Status, ready.Reason, ready.Message)
			}
			if after != tt.wantAfter || obj.Status.ObservedGeneration != 3 {
				t.Errorf("looked at again after %s, observed generation %d", after, obj.Status.ObservedGeneration)
			}
			if tt.err == nil && (obj.Status.SystemIdentifier != "77" || obj.Status.Timeline != 2) {
				t.Errorf("the server is not named: %+v", obj.Status)
			}
		})
	}
}
