package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/interlock-dev/interlock/apis/v1alpha1"
)

// whyOptions are the flags of "interlock why".
type whyOptions struct {
	kubeconfig, namespace string
}

func newWhyCommand() *cobra.Command {
	o := whyOptions{}
	cmd := &cobra.Command{
		Use:   "why <kind>/<name>",
		Short: "Say what an object waits for, and what would release it",
		Long: `Says in sentences where an AppBundle, SchemaMigration or Database is, what it waits for, who holds it back,
and what would release it. It reads status only; it changes nothing.`,
		Example: `  interlock why appbundle/shop
  interlock why schemamigration/shop-shop -n shop
  interlock why database/shop`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWhy(cmd.Context(), cmd.OutOrStdout(), o, args[0])
		},
	}
	cmd.Flags().StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; empty: KUBECONFIG, then the usual places")
	cmd.Flags().StringVarP(&o.namespace, "namespace", "n", "", "namespace; empty: that of the kubeconfig's context")
	return cmd
}

func runWhy(ctx context.Context, out io.Writer, o whyOptions, argument string) error {
	kind, name, ok := strings.Cut(argument, "/")
	if !ok || name == "" {
		return fmt.Errorf("%q is not <kind>/<name>, for example appbundle/shop", argument)
	}
	c, namespace, err := newUserClient(o)
	if err != nil {
		return err
	}
	lines, err := why(ctx, c, kind, client.ObjectKey{Namespace: namespace, Name: name})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}

// newUserClient talks to the cluster as kubectl would.
func newUserClient(o whyOptions) (client.Client, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("no cluster to talk to: %w; set KUBECONFIG or --kubeconfig", err)
	}
	namespace := o.namespace
	if namespace == "" {
		if namespace, _, err = loader.Namespace(); err != nil {
			return nil, "", err
		}
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, "", err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	return c, namespace, err
}

// why reads the object, and what it hangs on, and explains it.
func why(ctx context.Context, c client.Client, kind string, key client.ObjectKey) ([]string, error) {
	switch strings.ToLower(kind) {
	case "appbundle", "appbundles", "bundle":
		bundle := &v1alpha1.AppBundle{}
		if err := c.Get(ctx, key, bundle); err != nil {
			return nil, err
		}
		lines := explainBundle(bundle)
		for _, m := range bundle.Spec.Migrations {
			migration := &v1alpha1.SchemaMigration{}
			if err := c.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: bundle.Name + "-" + m.Series}, migration); err != nil {
				if client.IgnoreNotFound(err) != nil {
					return nil, err
				}
				continue
			}
			lines = append(lines, explainMigration(migration)...)
		}
		return lines, nil
	case "schemamigration", "schemamigrations", "smig":
		migration := &v1alpha1.SchemaMigration{}
		if err := c.Get(ctx, key, migration); err != nil {
			return nil, err
		}
		return explainMigration(migration), nil
	case "database", "databases", "idb":
		database := &v1alpha1.Database{}
		if err := c.Get(ctx, key, database); err != nil {
			return nil, err
		}
		return explainDatabase(database), nil
	default:
		return nil, fmt.Errorf("%q is not a kind of Interlock's; it is appbundle, schemamigration or database", kind)
	}
}
