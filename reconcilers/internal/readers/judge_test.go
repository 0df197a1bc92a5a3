package readers

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema/postgres"
)

var born = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

type podOption func(*corev1.Pod)

func stamped(series, version string) podOption {
	return func(p *corev1.Pod) {
		p.Labels[v1alpha1.StampedLabel] = "true"
		p.Labels[v1alpha1.StampLabel(series)] = version
	}
}

func usesSecret(p *corev1.Pod) {
	p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "shop-app"}}}}
}

func address(ip string) podOption {
	return func(p *corev1.Pod) { p.Status.PodIPs = []corev1.PodIP{{IP: ip}} }
}

func phase(ph corev1.PodPhase) podOption { return func(p *corev1.Pod) { p.Status.Phase = ph } }
func account(name string) podOption {
	return func(p *corev1.Pod) { p.Spec.ServiceAccountName = name }
}
func hostNetwork(p *corev1.Pod) { p.Spec.HostNetwork = true }
func terminating(p *corev1.Pod) {
	now := metav1.NewTime(born)
	p.DeletionTimestamp = &now
}

func pod(name string, options ...podOption) corev1.Pod {
	start := metav1.NewTime(born)
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "shop:1"}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &start},
	}
	for _, o := range options {
		o(&p)
	}
	return p
}

func session(pid int32, ip string, after time.Duration) postgres.Session {
	s := postgres.Session{PID: pid, Role: "shop", BackendStart: born.Add(after)}
	if ip != "" {
		s.ClientAddr = netip.MustParseAddr(ip)
	}
	return s
}

func template(name string, active bool, options ...podOption) Template {
	p := pod(name, options...)
	return Template{Kind: "Deployment", Name: name, Active: active,
		Pods: corev1.PodTemplateSpec{ObjectMeta: p.ObjectMeta, Spec: p.Spec}}
}

func TestJudge(t *testing.T) {
	tests := map[string]struct {
		in   Input
		want []string
	}{
		"nobody": {},
		"new pod, new template": {in: Input{Pods: []corev1.Pod{pod("new", stamped("shop", "5"))},
			Templates: []Template{template("shop", true, stamped("shop", "6"))}}},
		"old pod":                                  {in: Input{Pods: []corev1.Pod{pod("old", stamped("shop", "4"))}}, want: []string{"Pod old@4"}},
		"old, terminating":                         {in: Input{Pods: []corev1.Pod{pod("old", stamped("shop", "4"), terminating)}}, want: []string{"Pod old@4"}},
		"old, finished":                            {in: Input{Pods: []corev1.Pod{pod("old", stamped("shop", "4"), phase(corev1.PodSucceeded))}}},
		"stamp is no number":                       {in: Input{Pods: []corev1.Pod{pod("odd", stamped("shop", "new"))}}, want: []string{"Pod odd@0"}},
		"negative stamp":                           {in: Input{Pods: []corev1.Pod{pod("odd", stamped("shop", "-7"))}}, want: []string{"Pod odd@0"}},
		"a stamp that nothing guards":              {in: Input{Pods: []corev1.Pod{pod("odd", func(p *corev1.Pod) { p.Labels[v1alpha1.StampLabel("shop")] = "99" })}}, want: []string{"Pod odd@0"}},
		"a stamp that does not speak for a reader": {in: Input{Pods: []corev1.Pod{pod("sidecar", stamped("shop", "5"), usesSecret)}}, want: []string{"Pod sidecar@0"}},
		"a stamp that speaks for its reader": {in: Input{Pods: []corev1.Pod{pod("new", stamped("shop", "5"), usesSecret, func(p *corev1.Pod) {
			p.Annotations = map[string]string{v1alpha1.StampImagesAnnotation: "app=shop:1"}
		})}}},
		"unstamped, secret":  {in: Input{Pods: []corev1.Pod{pod("raw", usesSecret)}}, want: []string{"Pod raw@0"}},
		"unstamped, exempt":  {in: Input{Pods: []corev1.Pod{pod("db", usesSecret, account("postgres"))}}},
		"other series":       {in: Input{Pods: []corev1.Pod{pod("billing", usesSecret, stamped("billing", "1"))}}},
		"unrelated pod":      {in: Input{Pods: []corev1.Pod{pod("web")}}},
		"old template":       {in: Input{Templates: []Template{template("shop", true, stamped("shop", "4"))}}, want: []string{"Deployment shop@4"}},
		"old template at 0":  {in: Input{Templates: []Template{template("shop", false, stamped("shop", "4"))}}},
		"unstamped template": {in: Input{Templates: []Template{template("cron", true, usesSecret)}}, want: []string{"Deployment cron@0"}},
		"session of new pod": {in: Input{Pods: []corev1.Pod{pod("new", stamped("shop", "5"), address("10.0.0.1"))}, Sessions: []postgres.Session{session(7, "10.0.0.1", time.Second)}}},
		"session of old pod: named once": {in: Input{Pods: []corev1.Pod{pod("old", stamped("shop", "4"), address("10.0.0.1"))},
			Sessions: []postgres.Session{session(7, "10.0.0.1", time.Second)}}, want: []string{"Pod old@4"}},
		"session older than the pod with its address": {in: Input{Pods: []corev1.Pod{pod("new", stamped("shop", "5"), address("10.0.0.1"))},
			Sessions: []postgres.Session{session(7, "10.0.0.1", -time.Second)}}, want: []string{"Session pid 7, role shop@0"}},
		"session from elsewhere": {in: Input{Sessions: []postgres.Session{session(8, "10.9.9.9", 0)}}, want: []string{"Session pid 8, role shop@0"}},
		"local session":          {in: Input{Sessions: []postgres.Session{session(9, "", 0)}}, want: []string{"Session pid 9, role shop@0"}},
		"session of a host network pod": {in: Input{Pods: []corev1.Pod{pod("new", stamped("shop", "5"), address("10.0.0.1"), hostNetwork)},
			Sessions: []postgres.Session{session(7, "10.0.0.1", time.Second)}}, want: []string{"Session pid 7, role shop@0"}},
		"session of a finished pod's address": {in: Input{Pods: []corev1.Pod{pod("done", stamped("shop", "5"), address("10.0.0.1"), phase(corev1.PodFailed))},
			Sessions: []postgres.Session{session(7, "10.0.0.1", time.Second)}}, want: []string{"Session pid 7, role shop@0"}},
		"session of a pod that nobody declared": {in: Input{Pods: []corev1.Pod{pod("tool", address("10.0.0.1"))},
			Sessions: []postgres.Session{session(7, "10.0.0.1", time.Second)}}, want: []string{"Session pid 7, role shop@0"}},
		"session of the database's own pod": {in: Input{Pods: []corev1.Pod{pod("db-0", account("postgres"), address("10.0.0.1"))},
			Sessions: []postgres.Session{session(7, "10.0.0.1", time.Second)}}},
		"an IPv4 address in IPv6 clothes": {in: Input{Pods: []corev1.Pod{pod("new", stamped("shop", "5"), address("10.0.0.1"))},
			Sessions: []postgres.Session{session(7, "::ffff:10.0.0.1", time.Second)}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.in.Series, tt.in.Need = "shop", 5
			tt.in.Readers = v1alpha1.DatabaseReaders{Secrets: []string{"shop-app"}, ExemptServiceAccounts: []string{"postgres"}}
			var got []string
			for _, h := range Judge(tt.in) {
				got = append(got, h.Kind+" "+h.Name+"@"+string(rune('0'+h.Version)))
				if !strings.ContainsAny(h.Reason, ";,") {
					t.Errorf("holder %s does not say what releases it: %q", h.Name, h.Reason)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTemplatesOfActive(t *testing.T) {
	zero, one, yes := int32(0), int32(1), true
	done := metav1.NewTime(born)
	deployments := templatesOf(&appsv1.DeploymentList{Items: []appsv1.Deployment{
		{ObjectMeta: metav1.ObjectMeta{Name: "unset"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: appsv1.DeploymentSpec{Replicas: &one}},
		{ObjectMeta: metav1.ObjectMeta{Name: "zero"}, Spec: appsv1.DeploymentSpec{Replicas: &zero}},
	}})
	jobs := templatesOf(&batchv1.JobList{Items: []batchv1.Job{
		{ObjectMeta: metav1.ObjectMeta{Name: "running"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "done"}, Status: batchv1.JobStatus{CompletionTime: &done}},
		{ObjectMeta: metav1.ObjectMeta{Name: "failed"}, Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}}},
	}})
	crons := templatesOf(&batchv1.CronJobList{Items: []batchv1.CronJob{
		{ObjectMeta: metav1.ObjectMeta{Name: "nightly"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "suspended"}, Spec: batchv1.CronJobSpec{Suspend: &yes}},
	}})
	sets := templatesOf(&appsv1.DaemonSetList{Items: []appsv1.DaemonSet{{ObjectMeta: metav1.ObjectMeta{Name: "agent"}}}})
	want := map[string]bool{"unset": true, "one": true, "zero": false, "running": true, "done": false, "failed": false,
		"nightly": true, "suspended": false, "agent": true}
	for _, got := range slices.Concat(deployments, jobs, crons, sets) {
		if got.Active != want[got.Name] {
			t.Errorf("%s %s: active %v, want %v", got.Kind, got.Name, got.Active, want[got.Name])
		}
	}
}
