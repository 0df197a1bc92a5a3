package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Provisioner is the provisioner name of the storage class.
const Provisioner = "interlock.local/directory"

// provision makes a directory on the chosen node for every claim, until ctx ends.
func provision(ctx context.Context, c Config) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	if err := waitForAPI(ctx, client); err != nil {
		return err
	}
	controller.NewProvisionController(ctx, client, Provisioner, volumes{c},
		controller.LeaderElection(false)).Run(ctx)
	return ctx.Err()
}

// volumes makes and removes the directories. They lie on the host, so nothing has
// to run on the node.
type volumes struct{ c Config }

// Provision makes the directory of a new volume on the node that the scheduler chose.
func (v volumes) Provision(_ context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if o.SelectedNodeName == "" {
		return nil, controller.ProvisioningFinished, errors.New("no node chosen: the storage class needs volumeBindingMode WaitForFirstConsumer")
	}
	dir := filepath.Join(v.c.VolumesDir(o.SelectedNodeName), filepath.Base(o.PVName))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := os.Chmod(dir, 0o777); err != nil { // whatever the umask is
		return nil, controller.ProvisioningFinished, err
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				Local: &corev1.LocalVolumeSource{Path: filepath.Join(v.c.NodeVolumesDir, filepath.Base(o.PVName))},
			},
			NodeAffinity: onNode(o.SelectedNodeName),
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes a released volume's directory.
func (v volumes) Delete(_ context.Context, pv *corev1.PersistentVolume) error {
	node, err := nodeOf(pv)
	if err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(v.c.VolumesDir(node), filepath.Base(pv.Name)))
}

func onNode(name string) *corev1.VolumeNodeAffinity {
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{name},
		}},
	}}}}
}

// nodeOf reads back what onNode wrote.
func nodeOf(pv *corev1.PersistentVolume) (string, error) {
	a := pv.Spec.NodeAffinity
	if a == nil || a.Required == nil || len(a.Required.NodeSelectorTerms) != 1 ||
		len(a.Required.NodeSelectorTerms[0].MatchExpressions) != 1 ||
		len(a.Required.NodeSelectorTerms[0].MatchExpressions[0].Values) != 1 {
		return "", fmt.Errorf("volume %s does not say on which node it is", pv.Name)
	}
	return filepath.Base(a.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]), nil
}

// waitForAPI waits for the API server, which starts after this process.
func waitForAPI(ctx context.Context, client kubernetes.Interface) error {
	for {
		_, err := client.Discovery().ServerVersion()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
