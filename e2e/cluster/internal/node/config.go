package node

import (
	"encoding/json"
	"fmt"
	"os"
)

// Config says what a node is made of. Paths are the host's unless they say so.
type Config struct {
	// Name is the node's and its host name.
	Name string `json:"name"`
	// Netns is the network namespace to live in.
	Netns string `json:"netns"`
	// Cgroup is the node's own cgroup, below the root of every hierarchy.
	Cgroup string `json:"cgroup"`
	// Lower is the root file system that all nodes share; Upper, Work and Root are
	// this node's, for an overlay mount over it.
	Lower string `json:"lower"`
	Upper string `json:"upper"`
	Work  string `json:"work"`
	Root  string `json:"root"`
	// Binds are mounted into the node, by their absolute path in it.
	Binds map[string]Bind `json:"binds"`
	// Services run in the node for as long as it does, started in this order.
	Services []Service `json:"services"`
}

// Bind is a file or directory of the host that the node sees.
type Bind struct {
	Source   string `json:"source"`
	ReadOnly bool   `json:"readOnly,omitempty"`
}

// Service is a program that is started again whenever it ends.
type Service struct {
	Name    string   `json:"name"`
	Command []string `json:"command"`
	// Log is where its output goes, a path of the host.
	Log string `json:"log"`
	// WaitFor is a path in the node that must exist before the first start.
	WaitFor string `json:"waitFor,omitempty"`
}

// ReadConfig reads what WriteConfig of package cluster wrote.
func ReadConfig(path string) (Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	var c Config
	if err := json.Unmarshal(b, &c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
