package render

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	kustypes "sigs.k8s.io/kustomize/api/types"
)

// maxFolders is how many folders one kustomization may reach.
const maxFolders = 1000

// inspection looks at every kustomization that a build reaches, before the build, and refuses what is not in the tree:
// Kustomize would fetch it from the network, with the operator's rights.
type inspection struct {
	fsys fs.FS
	seen map[string]bool
	// openAPI: a kustomization brings a schema of its own.
	openAPI bool
}

// folder inspects the kustomization of a folder. What is reached as the configuration of a plugin may name files by
// itself, so it must not hold a URL at all.
func (i *inspection) folder(dir string, plugin bool) error {
	if i.seen[dir] {
		return nil
	}
	i.seen[dir] = true
	if len(i.seen) > maxFolders {
		return fail(BuildFailed, "the kustomization reaches more than %d folders; split the bundle", maxFolders)
	}
	name := kustomizationIn(i.fsys, dir)
	if name == "" {
		return fail(BuildFailed, "%s: is referred to, and has no kustomization.yaml", dir)
	}
	data, err := readFile(i.fsys, name)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(data, &map[string]any{}); err != nil {
		return fail(BuildFailed, "%s: it is not YAML; correct it", at(name, err))
	}
	k := kustypes.Kustomization{}
	if err := k.Unmarshal(data); err != nil {
		return fail(BuildFailed, "%s: %s", name, tidy(err))
	}
	if len(k.HelmCharts)+len(k.HelmChartInflationGenerator) > 0 || k.HelmGlobals != nil {
		return fail(BuildFailed, "%s: helmCharts are not supported; render the chart and commit the result", name)
	}
	i.openAPI = i.openAPI || len(k.OpenAPI) > 0
	return i.references(name, dir, &k, plugin)
}

func (i *inspection) references(name, dir string, k *kustypes.Kustomization, plugin bool) error {
	for _, ref := range paths(k) {
		if err := i.reference(name, dir, ref, plugin); err != nil {
			return err
		}
	}
	for _, entry := range slices.Concat(k.Generators, k.Transformers, k.Validators) {
		if strings.Contains(entry, "://") {
			return i.refuse(name, entry)
		}
		if inPlace(entry) {
			continue
		}
		if err := i.reference(name, dir, entry, true); err != nil {
			return err
		}
	}
	return nil
}

// paths lists the fields that name a file or a folder.
func paths(k *kustypes.Kustomization) []string {
	//nolint:staticcheck // the deprecated fields still name files, so they are looked at too
	bases, merges, patches := k.Bases, k.PatchesStrategicMerge, slices.Concat(k.Patches, k.PatchesJson6902)
	out := slices.Concat(k.Resources, k.Components, bases, k.Crds, k.Configurations)
	for _, p := range merges {
		if !inPlace(string(p)) {
			out = append(out, string(p))
		}
	}
	for _, p := range patches {
		out = append(out, p.Path)
	}
	for _, r := range k.Replacements {
		out = append(out, r.Path)
	}
	for _, c := range k.ConfigMapGenerator {
		out = append(out, sources(c.KvPairSources)...)
	}
	for _, s := range k.SecretGenerator {
		out = append(out, sources(s.KvPairSources)...)
	}
	return append(out, k.OpenAPI["path"])
}

// inPlace says that an entry is YAML, and not the name of a file.
func inPlace(entry string) bool {
	return strings.Contains(entry, "\n") || strings.Contains(entry, ": ") || strings.HasPrefix(strings.TrimSpace(entry), "{")
}

// sources are the files of a generator: "name=path" or "path".
func sources(kv kustypes.KvPairSources) []string {
	out := slices.Concat(kv.EnvSources, []string{kv.EnvSource})
	for _, f := range kv.FileSources {
		if _, file, ok := strings.Cut(f, "="); ok {
			f = file
		}
		out = append(out, f)
	}
	return out
}

// reference makes sure that a path is in the tree, and that Kustomize takes it for a path.
func (i *inspection) reference(name, dir, ref string, plugin bool) error {
	if ref == "" {
		return nil
	}
	full := path.Join(dir, ref)
	if looksRemote(ref) || path.IsAbs(ref) || !fs.ValidPath(full) {
		return i.refuse(name, ref)
	}
	info, err := fs.Stat(i.fsys, full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return i.refuse(name, ref)
	case err != nil:
		_, err = readFile(i.fsys, full)
		return err
	case info.IsDir():
		return i.folder(full, plugin)
	}
	if plugin {
		return i.pluginFile(full)
	}
	return nil
}

// pluginFile refuses a plugin's configuration with a URL in it.
func (i *inspection) pluginFile(name string) error {
	data, err := readFile(i.fsys, name)
	if err != nil {
		return err
	}
	if strings.Contains(string(data), "://") {
		return fail(BuildFailed, "%s: a generator or transformer with a URL in it could fetch from elsewhere; remove the URL", name)
	}
	return nil
}

// looksRemote is wider than Kustomize's own rule: a URL, an address as scp takes it, or the bare name of a host that
// Kustomize knows.
func looksRemote(ref string) bool {
	return strings.Contains(ref, "://") || strings.Contains(ref, "::") || strings.Contains(ref, "@") ||
		strings.HasPrefix(strings.ToLower(ref), "github.com")
}

func (i *inspection) refuse(name, ref string) error {
	return fail(BuildFailed, "%s: %q is not in this repository; nothing is fetched from elsewhere: correct the path, or commit a copy", name, clip(ref))
}

func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
