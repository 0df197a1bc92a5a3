package params

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// Suffixes of the keys that remember, for each series, what the namespace-wide keys are made of. They stay
// when the Database is gone, so that a fence outlives the object that described it.
const (
	secretsSuffix = ".secrets"
	serverSuffix  = ".server"
	exemptSuffix  = ".exempt"
)

// Entry is what the policies have to know of one series.
type Entry struct {
	// Series is its name.
	Series string
	// Ready is the largest version up to which every expand and backfill step is verified.
	Ready int64
	// Min is the fence; 0 when there is none.
	Min int64
	// Hint names the oldest revision that still works.
	Hint string
	// Secrets give access to the database; they are fenced once Min is above 0.
	Secrets []string
	// Exempt are service accounts whose pods may use the Secrets without a stamp.
	Exempt []string
	// Server that the entry was read from.
	Server Server
	// Enforcement decides which of the two params objects refuses and which one warns.
	Enforcement v1alpha1.Enforcement
}

// Server says which history of which database an entry comes from.
type Server struct {
	SystemIdentifier string
	// Timeline grows at every failover and restore.
	Timeline int64
}

func (s Server) String() string { return fmt.Sprintf("%s/%d", s.SystemIdentifier, s.Timeline) }

// outdated says whether a newer history of the same database was published before: then this one was read from
// a server that was replaced, and knows less.
func (s Server) outdated(published string) bool {
	id, timeline, ok := strings.Cut(published, "/")
	n, err := strconv.ParseInt(timeline, 10, 64)
	return ok && err == nil && id == s.SystemIdentifier && n > s.Timeline
}

// Merge returns the data of a params object with the entry in it. It does not change its argument.
func Merge(data map[string]string, e Entry) map[string]string {
	out := maps.Clone(data)
	if out == nil {
		out = map[string]string{}
	}
	key := v1alpha1.SeriesKey(e.Series)
	out[key+v1alpha1.ParamsReadySuffix] = strconv.FormatInt(e.Ready, 10)
	out[key+v1alpha1.ParamsMinSuffix] = strconv.FormatInt(e.Min, 10)
	out[key+v1alpha1.ParamsHintSuffix] = e.Hint
	out[key+serverSuffix] = e.Server.String()
	out[key+secretsSuffix] = ""
	out[key+exemptSuffix] = ""
	if e.Min > 0 {
		out[key+secretsSuffix] = join(e.Secrets)
		out[key+exemptSuffix] = join(e.Exempt)
	}
	return unite(out)
}

// Remove returns the data of a params object without a series. It does not change its argument.
func Remove(data map[string]string, series string) map[string]string {
	out := maps.Clone(data)
	key := v1alpha1.SeriesKey(series)
	for _, suffix := range []string{
		v1alpha1.ParamsReadySuffix, v1alpha1.ParamsMinSuffix, v1alpha1.ParamsHintSuffix, secretsSuffix, exemptSuffix, serverSuffix,
	} {
		delete(out, key+suffix)
	}
	return unite(out)
}

// unite makes the namespace-wide lists from those of the series.
func unite(data map[string]string) map[string]string {
	data[v1alpha1.ParamsFencedSecrets] = join(collect(data, secretsSuffix))
	data[v1alpha1.ParamsExempt] = join(collect(data, exemptSuffix))
	return data
}

func collect(data map[string]string, suffix string) []string {
	var all []string
	for key, value := range data {
		if strings.HasSuffix(key, suffix) && value != "" {
			all = append(all, strings.Split(value, ",")...)
		}
	}
	return all
}

func join(names []string) string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(names))), ",")
}

// split returns what the refusing and what the warning params object say of a series. In Audit the refusing
// one lets everything pass, and it has to say so: a series that it does not know is refused.
func split(e Entry) (enforce, audit Entry) {
	harmless := e
	harmless.Ready, harmless.Min = math.MaxInt64, 0
	if e.Enforcement == v1alpha1.EnforcementAudit {
		return harmless, e
	}
	return e, harmless
}

// Read returns the data of the refusing params object; nil when there is none.
func Read(ctx context.Context, r client.Reader, namespace string) (map[string]string, error) {
	cm := &corev1.ConfigMap{}
	err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: v1alpha1.ParamsName}, cm)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return cm.Data, err
}

// Publisher writes the params objects.
type Publisher struct {
	// Client writes.
	Client client.Client
	// Live reads past the cache.
	Live client.Reader
}

// Publish brings both params objects of a namespace up to date. The entry is asked for after the objects
// were read, and they are only written if nobody wrote them in between: an operator that was paused, and
// whose knowledge is old by now, loses that race. It reports whether the refusing object changed.
func (p Publisher) Publish(ctx context.Context, namespace string, entry func(context.Context) (Entry, error)) (bool, error) {
	var changed bool
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		enforceMap, err := p.get(ctx, namespace, v1alpha1.ParamsName)
		if err != nil {
			return err
		}
		auditMap, err := p.get(ctx, namespace, v1alpha1.ParamsAuditName)
		if err != nil {
			return err
		}
		e, err := entry(ctx)
		if err != nil {
			return err
		}
		if published := enforceMap.Data[v1alpha1.SeriesKey(e.Series)+serverSuffix]; e.Server.outdated(published) {
			return fmt.Errorf("series %q was published from timeline %s of this database, and the server that answers is on timeline %d: it was replaced; name the present primary in the connection",
				e.Series, published, e.Server.Timeline)
		}
		enforce, audit := split(e)
		if changed, err = p.put(ctx, enforceMap, Merge(enforceMap.Data, enforce)); err != nil {
			return err
		}
		_, err = p.put(ctx, auditMap, Merge(auditMap.Data, audit))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("params objects of namespace %q can not be written: %w", namespace, err)
	}
	return changed, nil
}

// Forget takes a series out of both params objects.
func (p Publisher) Forget(ctx context.Context, namespace, series string) error {
	for _, name := range []string{v1alpha1.ParamsName, v1alpha1.ParamsAuditName} {
		err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
			cm, err := p.get(ctx, namespace, name)
			if err != nil || cm.ResourceVersion == "" {
				return err
			}
			_, err = p.put(ctx, cm, Remove(cm.Data, series))
			return err
		})
		if err != nil {
			return fmt.Errorf("series %q can not be taken out of ConfigMap %q: %w", series, name, err)
		}
	}
	return nil
}

func (p Publisher) get(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	cm := &corev1.ConfigMap{}
	err := p.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, cm)
	if apierrors.IsNotFound(err) {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "interlock"},
		}}, nil
	}
	return cm, err
}

func (p Publisher) put(ctx context.Context, cm *corev1.ConfigMap, data map[string]string) (bool, error) {
	if maps.Equal(cm.Data, data) && cm.ResourceVersion != "" {
		return false, nil
	}
	cm.Data = data
	if cm.ResourceVersion != "" {
		return true, p.Client.Update(ctx, cm)
	}
	err := p.Client.Create(ctx, cm)
	if apierrors.IsAlreadyExists(err) {
		return false, apierrors.NewConflict(corev1.Resource("configmaps"), cm.Name, err)
	}
	return true, err
}
