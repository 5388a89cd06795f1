package translate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stagehand-dev/stagehand/containers"
)

func TestLacks(t *testing.T) {
	spec := containers.Spec{
		Annotations: map[string]string{"a": "b"},
		Mounts: []containers.Mount{
			{Kind: containers.MountVolume, Subpath: "s"}, {Kind: containers.MountImage, Subpath: "s"},
			{Kind: containers.MountBind, Recursive: "readonly"}, {Kind: containers.MountBind, Recursive: "disabled"},
		},
		Networks: []containers.Attachment{{MAC: "m"}, {MAC: "m", GatewayPriority: 1, Interface: "eth9"}},
	}
	network := containers.Network{NoIPv4: true}
	lacks := func(api string) []string {
		var out []string
		for _, l := range append(Lacks(spec, api), NetworkLacks(network, api)...) {
			text := strings.Join(l.Key, ".") + " " + l.Text
			if l.Refused {
				text += ", refused"
			}
			out = append(out, strings.ReplaceAll(text, " or newer, the engine has API "+api, ""))
		}
		return out
	}
	want := []string{
		"annotations needs Docker 24 (API 1.43)", "volumes.0.volume.subpath needs Docker 26 (API 1.45), refused",
		"volumes.1 needs Docker 28 (API 1.48), refused", "volumes.2.bind.recursive needs Docker 25 (API 1.44), refused",
		"networks needs Docker 25 (API 1.44)", "networks needs Docker 28 (API 1.48)", "networks needs Docker 28.1 (API 1.49)",
		"enable_ipv4 needs Docker 28 (API 1.47)",
	}
	if diff := cmp.Diff(want, lacks("1.41")); diff != "" {
		t.Error(diff)
	}
	if got := lacks("1.49"); len(got) > 0 {
		t.Errorf("API 1.49 lacks %q", got)
	}
}
