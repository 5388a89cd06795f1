package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stagehand-dev/stagehand/stages"
)

// Unknown is a word that names nothing in the plan.
type Unknown struct {
	// Flag is rerun or from; empty for a word of a Part.
	Flag, Word string
	// Candidates are the words that would have been understood.
	Candidates []string
}

// Error names the word.
func (u *Unknown) Error() string {
	if u.Flag == "" {
		return fmt.Sprintf("%s: no such service, step, stage or app", u.Word)
	}
	return fmt.Sprintf("--%s %s: no such step or stage", u.Flag, u.Word)
}

// Again is what the user wants to be done although it is done.
type Again struct {
	// Rerun are step IDs, stages, STAGE/APP or apps.
	Rerun []string
	// From are stages, each meant with all that come after it.
	From []string
	// Services are to be made anew, all of them.
	Services bool
}

// Select finds the steps that are meant. It returns by step ID which flag asked, for
// Facts.Asked. The error is an *Unknown.
func (a Again) Select(p *Plan) (map[string]string, error) {
	asked := map[string]string{}
	for _, word := range a.Rerun {
		found := p.named(word)
		if len(found) == 0 {
			return nil, &Unknown{Flag: "rerun", Word: word, Candidates: p.names()}
		}
		for _, id := range found {
			asked[id] = "asked for by --rerun"
		}
	}
	for _, word := range a.From {
		if !slices.ContainsFunc(p.Stages, func(s *Stage) bool { return s.Name == word }) {
			return nil, &Unknown{Flag: "from", Word: word, Candidates: p.stageNames()}
		}
		after := map[string]bool{word: true}
		for _, s := range p.Stages { // needs stand before those that need them
			if slices.ContainsFunc(s.Needs, func(need string) bool { return after[need] }) {
				after[s.Name] = true
			}
		}
		for _, s := range p.Steps {
			if after[s.Stage] && asked[s.ID] == "" {
				asked[s.ID] = "asked for by --from " + word
			}
		}
	}
	for _, s := range p.Steps {
		if a.Services && s.Verb == stages.Start && s.Container != "" && asked[s.ID] == "" {
			asked[s.ID] = "asked for by --force-recreate"
		}
	}
	return asked, nil
}

// named are the steps that a word means: a step, all of a stage or of one app
// in it, or else all of an app.
func (p *Plan) named(word string) []string {
	var of, ofApp []string
	for _, s := range p.Steps {
		if s.ID == word || s.Stage == word || strings.HasPrefix(s.ID, word+"/") {
			of = append(of, s.ID)
		}
		if s.App != "" && s.App == word {
			ofApp = append(ofApp, s.ID)
		}
	}
	if len(of) > 0 {
		return of
	}
	return ofApp
}

func (p *Plan) stageNames() []string {
	var names []string
	for _, s := range p.Stages {
		names = append(names, s.Name)
	}
	return names
}

// names are all words that named understands, but for prefixes of IDs.
func (p *Plan) names() []string {
	names := p.stageNames()
	for _, s := range p.Steps {
		names = append(names, s.ID)
		if s.App != "" {
			names = append(names, s.App)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
