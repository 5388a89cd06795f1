package specs

import (
	"math"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/stagehand-dev/stagehand/containers"
)

// resources sets limits and reservations; deploy.resources wins over the short keys.
func (v *conversion) resources() {
	s := v.service
	r := containers.Resources{
		NanoCPUs: nano(s.CPUS), CPUShares: s.CPUShares, CPUSet: s.CPUSet, CPUPeriod: s.CPUPeriod, CPUQuota: s.CPUQuota,
		Memory: int64(s.MemLimit), MemoryReservation: int64(s.MemReservation), MemorySwap: int64(s.MemSwapLimit),
		PidsLimit: s.PidsLimit, ShmSize: int64(s.ShmSize), OomKillDisable: s.OomKillDisable, OomScoreAdj: int(s.OomScoreAdj),
		CgroupParent: s.CgroupParent, CPURealtimePeriod: s.CPURTPeriod, CPURealtimeRuntime: s.CPURTRuntime,
		CPUCount: s.CPUCount, CPUPercent: int64(s.CPUPercent * 100),
	}
	if s.MemSwappiness != 0 {
		swappiness := int64(s.MemSwappiness)
		r.MemorySwappiness = &swappiness
	}
	if b := s.BlkioConfig; b != nil {
		r.BlkioWeight = b.Weight
		for _, d := range b.WeightDevice {
			r.BlkioWeightDevice = append(r.BlkioWeightDevice, containers.DeviceRate{Path: d.Path, Rate: uint64(d.Weight)})
		}
		r.BlkioReadBps, r.BlkioWriteBps = rates(b.DeviceReadBps), rates(b.DeviceWriteBps)
		r.BlkioReadIOps, r.BlkioWriteIOps = rates(b.DeviceReadIOps), rates(b.DeviceWriteIOps)
	}
	if s.Deploy != nil {
		v.deployed(&r, s.Deploy.Resources)
	}
	var named containers.GPU
	for _, d := range s.Devices {
		if isCDI(d.Source) {
			named.Driver, named.IDs = "cdi", append(named.IDs, d.Source)
		}
	}
	if named.IDs != nil {
		r.GPUs = append(r.GPUs, named)
	}
	for _, g := range s.Gpus {
		r.GPUs = append(r.GPUs, gpu(g, "gpu"))
	}
	v.spec.Resources = r
}

func rates(devices []types.ThrottleDevice) []containers.DeviceRate {
	var out []containers.DeviceRate
	for _, d := range devices {
		out = append(out, containers.DeviceRate{Path: d.Path, Rate: uint64(max(d.Rate, 0))})
	}
	return out
}

func (v *conversion) deployed(r *containers.Resources, wanted types.Resources) {
	if l := wanted.Limits; l != nil {
		if l.NanoCPUs != 0 {
			r.NanoCPUs = nano(float32(l.NanoCPUs))
		}
		if l.MemoryBytes != 0 {
			r.Memory = int64(l.MemoryBytes)
		}
		if l.Pids != 0 {
			r.PidsLimit = l.Pids
		}
		if len(l.GenericResources) > 0 {
			v.unknown("deploy", "resources", "limits", "generic_resources")
		}
	}
	if res := wanted.Reservations; res != nil {
		if res.MemoryBytes != 0 {
			r.MemoryReservation = int64(res.MemoryBytes)
		}
		if res.NanoCPUs != 0 {
			v.unknown("deploy", "resources", "reservations", "cpus")
		}
		if len(res.GenericResources) > 0 {
			v.unknown("deploy", "resources", "reservations", "generic_resources")
		}
		for _, d := range res.Devices {
			r.GPUs = append(r.GPUs, gpu(d))
		}
	}
}

// nano is the number of cores in billionths, exact to a millionth: the file's
// decimal has gone through a float32.
func nano(cores float32) int64 { return int64(math.Round(float64(cores)*1e6)) * 1000 }

// gpu converts a device request; without a count and IDs it is for all devices.
func gpu(d types.DeviceRequest, capabilities ...string) containers.GPU {
	g := containers.GPU{Driver: d.Driver, Count: int(d.Count), IDs: d.IDs, Options: clone(d.Options)}
	g.Capabilities = append(append(g.Capabilities, d.Capabilities...), capabilities...)
	for i, c := range g.Capabilities {
		for _, earlier := range g.Capabilities[:i] {
			if c == earlier {
				g.Capabilities = g.Capabilities[:len(g.Capabilities)-1]
				break
			}
		}
	}
	if g.Count == 0 && len(g.IDs) == 0 {
		g.Count = -1
	}
	return g
}

// index is a list's position as a step of a path.
func index(i int) string { return strconv.Itoa(i) }
