package views

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/containers"
	"github.com/stagehand-dev/stagehand/views/text"
)

// Row is one container of a stack, as ps shows it.
type Row struct {
	Service   string               `json:"service"`
	App       string               `json:"app,omitempty"`
	Role      string               `json:"role"`
	Step      string               `json:"step,omitempty"`
	State     containers.State     `json:"state"`
	Health    containers.Health    `json:"health,omitempty"`
	ExitCode  *int                 `json:"exit_code,omitempty"`
	URLs      []string             `json:"urls,omitempty"`
	Ports     []containers.Binding `json:"ports,omitempty"`
	Container string               `json:"container"`
	Image     string               `json:"image"`
}

// PS makes rows of a stack's containers, by app and service. host is where published
// ports are reached; "" is localhost. Ended ones are left out unless all is true.
func PS(list []containers.Status, host string, all bool) []Row {
	rows := []Row{}
	for _, s := range list {
		if containers.Aside(s.Labels) || !all && !s.Running() {
			continue
		}
		row := Row{
			Service: s.Labels[containers.LabelService], App: s.Labels[containers.LabelApp], Role: containers.RoleOf(s.Labels),
			Step: s.Labels[containers.LabelStep], State: s.State, Health: s.Health, Ports: s.Ports, Container: s.Name, Image: s.Image,
		}
		if s.Ended() {
			row.ExitCode = &s.ExitCode
		}
		for _, b := range s.Ports {
			if b.Host == 0 {
				continue
			}
			text := fmt.Sprintf("%d/%s", b.Host, b.Protocol)
			if b.Protocol == "tcp" {
				text = link(b.HostIP, fmt.Sprint(b.Host), fmt.Sprint(b.Container), host)
			}
			if !slices.Contains(row.URLs, text) {
				row.URLs = append(row.URLs, text)
			}
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.App, b.App), cmp.Compare(a.Service, b.Service), text.Compare(a.Container, b.Container))
	})
	return rows
}

// PSTable is the rows for people.
func PSTable(rows []Row) string {
	table := [][]string{{"SERVICE", "APP", "STATE", "HEALTH", "REACHED AT", "CONTAINER"}}
	for _, r := range rows {
		state := string(r.State)
		if r.ExitCode != nil {
			state = fmt.Sprintf("exited (%d)", *r.ExitCode)
		}
		if r.Role == containers.RoleHelper {
			state += ", helper"
		}
		table = append(table, []string{r.Service, cmp.Or(r.App, "-"), state, cmp.Or(string(r.Health), "-"), cmp.Or(strings.Join(r.URLs, " "), "-"), r.Container})
	}
	for _, column := range []int{3, 1} { // HEALTH and APP, where no container has any
		if !slices.ContainsFunc(table[1:], func(row []string) bool { return row[column] != "-" }) {
			for i := range table {
				table[i] = slices.Delete(table[i], column, column+1)
			}
		}
	}
	return text.Table(table)
}
