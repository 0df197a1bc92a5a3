package appbundle

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
	"github.com/interlock-dev/interlock/migrations/schema"
)

func configMapYAML(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {value: %q}\n", name, value)
}

// deploymentYAML is an app that takes the Secret of the database.
func deploymentYAML(image string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - name: shop
        image: %s
        envFrom: [{secretRef: {name: shop-app}}]
`, image)
}

const serviceYAML = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {selector: {app: shop}, ports: [{port: 80}]}\n"

const ingressYAML = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  rules:
  - host: shop.example.test
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}]}
`

const (
	initSQL   = "-- +goose Up\nCREATE TABLE orders (id bigint PRIMARY KEY);\n"
	expandSQL = "-- +goose Up\nALTER TABLE orders ADD COLUMN note text;\n"
	// contractSQL breaks whoever still reads the column.
	contractSQL = "-- +goose Up\nALTER TABLE orders DROP COLUMN note;\n"
	mixedSQL    = "-- +goose Up\nALTER TABLE orders ADD COLUMN other text;\nALTER TABLE orders DROP COLUMN id;\n"
	badSQL      = "-- +goose Up\nALTER TABLE orders ADD COLUMN\n  other text,;\n"
)

// rolledOut does what the Deployment controller does when every pod runs.
func (b *bench) rolledOut() {
	b.t.Helper()
	d := &appsv1.Deployment{}
	b.changeStatus("shop", d, func() {
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2,
			Conditions: []appsv1.DeploymentCondition{
				{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable"},
				{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable"},
			}}
	})
}

func (b *bench) image() string {
	b.t.Helper()
	d := &appsv1.Deployment{}
	b.get("shop", d)
	return d.Spec.Template.Spec.Containers[0].Image
}

// database creates the Database; nobody looks at whether it is one.
func (b *bench) database() {
	b.t.Helper()
	b.create(&v1alpha1.Database{ObjectMeta: metav1.ObjectMeta{Namespace: b.ns, Name: "shop"}, Spec: v1alpha1.DatabaseSpec{
		Connection: v1alpha1.DatabaseConnection{SecretRef: v1alpha1.SecretKeyReference{Name: "shop-db"}},
		Readers:    v1alpha1.DatabaseReaders{Secrets: []string{"shop-app"}}}})
}

// withMigrations gives the bundle the series shop.
func withMigrations(s *v1alpha1.AppBundleSpec) {
	s.Migrations = []v1alpha1.BundleMigrations{{Series: "shop", DatabaseRef: v1alpha1.LocalReference{Name: "shop"}, Path: "./db"}}
}

// migration reads the bundle's SchemaMigration.
func (b *bench) migration() *v1alpha1.SchemaMigration {
	b.t.Helper()
	sm := &v1alpha1.SchemaMigration{}
	b.get("shop-shop", sm)
	return sm
}

// migrated does what the schemamigration reconciler does when every expand and backfill step is verified.
func (b *bench) migrated(change ...func(*v1alpha1.SchemaMigration)) {
	b.t.Helper()
	sm := &v1alpha1.SchemaMigration{}
	b.changeStatus("shop-shop", sm, func() {
		sm.Status.ObservedGeneration = sm.Generation
		sm.Status.TargetVersion = *sm.Spec.TargetVersion
		sm.Status.SourceDigest = b.digest(sm)
		sm.Status.ReadyVersion = *sm.Spec.TargetVersion
		sm.Status.ContractedVersion = *sm.Spec.TargetVersion
		sm.Status.History = v1alpha1.AppendReceipt(sm.Status.History, v1alpha1.Receipt{Phase: PhaseExpand, Revision: sm.Spec.Revision, Time: metav1.Now(), DurationMillis: 1500})
		sm.Status.Conditions = []metav1.Condition{
			condition(v1alpha1.ReadyCondition, metav1.ConditionTrue, "Migrated", "ready"),
			condition(v1alpha1.ContractedCondition, metav1.ConditionTrue, "Contracted", "done"),
		}
		for _, f := range change {
			f(sm)
		}
	})
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: metav1.Now()}
}

// digest is what the schemamigration reconciler makes of the ConfigMap that the spec names.
func (b *bench) digest(sm *v1alpha1.SchemaMigration) string {
	b.t.Helper()
	cm := &corev1.ConfigMap{}
	b.get(sm.Spec.ConfigMapRef.Name, cm)
	files, err := schema.Load(cm.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return schema.Digest(files)
}

func (b *bench) bundleUID() types.UID {
	b.t.Helper()
	obj := &v1alpha1.AppBundle{}
	b.get("shop", obj)
	return obj.UID
}
