package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "interlock:", err)
		os.Exit(1)
	}
}

// run ends cleanly when it is interrupted or told to stop.
func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return newRootCommand().ExecuteContext(ctx)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "interlock",
		Short: "Code, schema, certificates and placement change only in orders that cannot race",
		Long: `Interlock is a Kubernetes operator: it reconciles app bundles from Git, sequences database migrations as
expand, backfill and contract steps, and provisions ingress TLS, so that no running version ever meets a
schema that it cannot work with.

  interlock controller    runs the operator (what the Helm chart starts)
  interlock why           says in sentences what an object waits for, and what would release it
  interlock version       prints the version`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newControllerCommand(), newWhyCommand(), newVersionCommand())
	return root
}
