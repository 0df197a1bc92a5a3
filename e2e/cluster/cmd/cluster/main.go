//go:build linux

// Command cluster starts and ends the local Kubernetes cluster of a checkout.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/interlock-dev/interlock/e2e/cluster"
)

const long = `A real Kubernetes on this machine, from source and Debian packages alone: etcd,
API server, controller manager, scheduler, and nodes that run containerd,
kubelet and kube-proxy in namespaces of their own. Beside it an image registry
and a Git server. It needs root on Linux, Go, and apt.

The first "up" builds Kubernetes, which takes minutes; every later one starts
in seconds. Everything it makes lies in .local: binaries and root file systems
stay there, the cluster itself in .local/cluster is gone after "down".

  cluster up                   start it, or keep the one that runs
  cluster up --nodes 3         with three nodes, or add what is missing
  cluster up --addons          with cert-manager and the ingress controller
  cluster status               what runs, where, and how to reach it
  cluster down                 end it and remove every trace
  cluster build                only build what "up" needs

With the cluster up:

  export KUBECONFIG=.local/cluster/kubeconfig PATH=$PWD/.local/bin:$PATH
  kubectl get pods -A
  less .local/cluster/logs/node1-kubelet.log`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var root string
	top := &cobra.Command{
		Use: "cluster", Short: "A real Kubernetes on this machine", Long: long,
		SilenceUsage: true, SilenceErrors: true, Args: cobra.NoArgs,
	}
	top.CompletionOptions.DisableDefaultCmd = true
	top.PersistentFlags().StringVar(&root, "root", "", "root of the repository (found from the working directory up)")
	top.AddCommand(
		upCommand(&root),
		&cobra.Command{
			Use: "down", Short: "End the cluster and remove every trace; fine when there is none", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return cluster.Down(cmd.Context(), root, os.Stderr)
			},
		},
		&cobra.Command{
			Use: "status", Short: "Say what runs; exit 1 when it is not whole", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return status(cmd.Context(), root) },
		},
		&cobra.Command{
			Use: "build", Short: "Build what up needs", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return cluster.Build(cmd.Context(), cluster.Options{Root: root, Out: os.Stderr})
			},
		},
		&cobra.Command{
			Use: "serve", Hidden: true, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return cluster.RunServices(cmd.Context(), root)
			},
		},
		&cobra.Command{
			Use: "node CONFIG", Hidden: true, DisableFlagParsing: true, Args: cobra.MinimumNArgs(1),
			RunE: func(_ *cobra.Command, args []string) error { return cluster.RunNode(args[0], args[1:]) },
		},
	)
	return top
}

func upCommand(root *string) *cobra.Command {
	var nodes int
	var addons bool
	cmd := &cobra.Command{
		Use: "up", Short: "Build what is missing and start the cluster, or keep the one that runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster.Up(cmd.Context(), cluster.Options{Root: *root, Nodes: nodes, Out: os.Stderr})
			if err != nil {
				return err
			}
			if addons {
				if err := errors.Join(c.InstallCertManager(cmd.Context()), c.InstallIngress(cmd.Context())); err != nil {
					return err
				}
			}
			fmt.Printf("export KUBECONFIG=%s PATH=%s:$PATH\n", c.KubeconfigPath(), filepath.Clean(c.BinDir()))
			return nil
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", 2, "how many nodes there shall be at least")
	cmd.Flags().BoolVar(&addons, "addons", false, "also install cert-manager and the ingress controller")
	return cmd
}

func status(ctx context.Context, root string) error {
	c, err := cluster.Attach(root)
	if err != nil {
		return err
	}
	return c.Describe(ctx, os.Stdout)
}
