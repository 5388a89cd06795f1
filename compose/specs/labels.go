package specs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
)

// labels sets the file's labels, Compose's, by which its own commands find
// the container, and ours.
func (v *conversion) labels() {
	labels := map[string]string{}
	maps.Copy(labels, v.service.Labels)
	labels[containers.LabelProject] = v.id.Stack
	labels[containers.LabelService] = v.id.Service
	labels[containers.LabelNumber] = strconv.Itoa(v.id.number())
	labels[containers.LabelOneoff] = "False"
	labels[containers.LabelConfigFiles] = strings.Join(v.Files, ",")
	labels[containers.LabelWorkingDir] = v.Dir
	labels[containers.LabelConfigHash] = configHash(v.service)
	labels[containers.LabelStack] = v.id.Stack
	if v.id.App != "" {
		labels[containers.LabelApp] = v.id.App
	}
	maps.Copy(labels, v.id.Labels)
	v.spec.Labels = labels
}

// configHash is Compose's: the service without what does not concern its
// container. Source: docker/compose pkg/compose/hash.go, ServiceHash.
func configHash(s types.ServiceConfig) string {
	s.Build, s.PullPolicy, s.Scale, s.DependsOn, s.Profiles = nil, "", nil, nil, nil
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.Replicas = nil
		s.Deploy = &deploy
	}
	text, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
