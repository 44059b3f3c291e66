// Checks deployment files as their own programs read them, without a cluster, a daemon or the network.
//
//	deploy-check kustomize FOLDER…   builds each folder, and decodes every object strictly into its Kubernetes type
//	deploy-check compose FILE…       loads each file: schema, interpolation, references between services
//	deploy-check dockerfile FILE…    takes each file apart as BuildKit does, and applies all of BuildKit's rules
//
// Prints a line for each object or service. Exit code 1 if anything is wrong. Custom resources are named, not decoded.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/opencontainers/go-digest"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// customGroups are the API groups whose types are not known here.
var customGroups = []string{"cert-manager.io/"}

func kustomize(folder string) error {
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return err
	}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme,
		json.SerializerOptions{Yaml: true, Strict: true})
	var faults []error
	for _, object := range objects.Resources() {
		name := fmt.Sprintf("%s %s/%s", object.GetApiVersion(), object.GetKind(), object.GetName())
		text, err := object.AsYAML()
		if err != nil {
			return err
		}
		_, _, err = decoder.Decode(bytes.TrimSpace(text), nil, nil)
		switch {
		case err == nil:
			fmt.Printf("%s: %s\n", folder, name)
		case runtime.IsNotRegisteredError(err) && isCustom(object.GetApiVersion()):
			fmt.Printf("%s: %s (custom resource, not decoded)\n", folder, name)
		default:
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
		}
	}
	if len(objects.Resources()) == 0 {
		faults = append(faults, errors.New("no object comes out"))
	}
	return errors.Join(faults...)
}

func isCustom(apiVersion string) bool {
	for _, group := range customGroups {
		if strings.HasPrefix(apiVersion, group) {
			return true
		}
	}
	return false
}

func compose(file string) error {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithOsEnv, cli.WithProfiles([]string{"*"}),
		cli.WithWorkingDirectory(filepath.Dir(file)), cli.WithName("check"))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	for _, name := range project.ServiceNames() {
		fmt.Printf("%s: %s (%s)\n", file, name, project.Services[name].Image)
	}
	return nil
}

// noRegistry answers for every image with an empty configuration: what an image holds is not looked at here.
type noRegistry struct{}

func (noRegistry) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte(`{"architecture":"amd64","os":"linux"}`), nil
}

func dockerfile(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var faults []error
	options := dockerfile2llb.ConvertOpt{
		AllStages:    true,
		MetaResolver: noRegistry{},
		SourceMap:    llb.NewSourceMap(nil, filepath.Base(file), "", text),
		Warn: func(rule, _, _, detail string, location []parser.Range) {
			line := 0
			if len(location) > 0 {
				line = location[0].Start.Line
			}
			faults = append(faults, fmt.Errorf("line %d: %s: %s", line, rule, detail))
		},
	}
	if _, err := dockerfile2llb.Dockerfile2LLB(context.Background(), text, options); err != nil {
		faults = append(faults, err)
	}
	if len(faults) == 0 {
		fmt.Printf("%s: no fault\n", file)
	}
	return errors.Join(faults...)
}

func main() {
	checks := map[string]func(string) error{"kustomize": kustomize, "compose": compose, "dockerfile": dockerfile}
	if len(os.Args) < 3 || checks[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: deploy-check kustomize FOLDER… | compose FILE… | dockerfile FILE…")
		os.Exit(2)
	}
	code := 0
	for _, path := range os.Args[2:] {
		if err := checks[os.Args[1]](path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			code = 1
		}
	}
	os.Exit(code)
}
