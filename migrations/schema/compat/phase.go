package compat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/interlock-dev/interlock/migrations/schema"
)

// phases is a set of the four phases that a statement can have.
type phases map[schema.Phase]bool

var strictness = map[schema.Phase]int{
	schema.PhaseExpand: 1, schema.PhaseBackfill: 2, schema.PhaseContract: 3, schema.PhaseMixed: 4, schema.PhaseUnknown: 5,
}

// one is the phase of a set: that of its only member, else unknown or mixed. ok is false for an empty set.
func (p phases) one() (phase schema.Phase, ok bool) {
	switch {
	case len(p) == 0:
		return "", false
	case p[schema.PhaseUnknown]:
		return schema.PhaseUnknown, true
	case len(p) > 1:
		return schema.PhaseMixed, true
	}
	for phase = range p {
	}
	return phase, true
}

// raise makes every phase of the set at least as strict as the declared one. What is unknown stays so.
func (p phases) raise(declared schema.Phase) {
	for phase := range p {
		if strictness[phase] < strictness[declared] {
			delete(p, phase)
			p[declared] = true
		}
	}
}

// settle gives the file and its statements their phases.
func settle(c *Classified) {
	if d := c.File.DeclaredPhase; d != "" {
		for i := range c.Statements {
			v := &c.Statements[i]
			if v.loose {
				v.needs[schema.PhaseExpand], v.loose = true, false
			}
			v.needs.raise(d)
		}
	}
	all, loose := phases{}, false
	for _, v := range c.Statements {
		for p := range v.needs {
			all[p] = true
		}
		loose = loose || v.loose
	}
	if loose && !all[schema.PhaseContract] {
		all[schema.PhaseExpand] = true
	}
	phase, ok := all.one()
	if !ok {
		phase = stricter(schema.PhaseExpand, c.File.DeclaredPhase)
	}
	c.Phase = phase
	for i := range c.Statements {
		c.Statements[i].settle(phase)
	}
	if phase == schema.PhaseMixed {
		c.Findings = append(c.Findings, mixed(c))
	}
}

// settle gives one statement its phase; one that may stand anywhere takes that of its file.
func (v *Verdict) settle(file schema.Phase) {
	if phase, ok := v.needs.one(); ok {
		v.Phase = phase
		return
	}
	v.Phase = schema.PhaseExpand
	switch {
	case v.loose && file == schema.PhaseContract, !v.loose && strictness[file] <= strictness[schema.PhaseContract]:
		v.Phase = file
	}
}

func stricter(a, b schema.Phase) schema.Phase {
	if strictness[b] > strictness[a] {
		return b
	}
	return a
}

// maxListed bounds how many statements one message names.
const maxListed = 12

// mixed names the statements of a file that mixes phases, at the line of the first that differs from the first.
func mixed(c *Classified) Finding {
	var parts []string
	first, line := schema.Phase(""), 0
	for _, v := range c.Statements {
		if len(v.needs) == 0 && !v.loose {
			continue
		}
		if first == "" {
			first = v.Phase
		}
		if line == 0 && (v.Phase != first || v.Phase == schema.PhaseMixed) {
			line = v.Statement.Line
		}
		parts = append(parts, fmt.Sprintf("line %d is %s", v.Statement.Line, v.describe()))
	}
	if more := len(parts) - maxListed; more > 0 {
		parts = append(parts[:maxListed], fmt.Sprintf("and %d more", more))
	}
	return Finding{
		Code: "mixed-phases", Severity: SeverityError, File: c.File.Name, Line: max(line, 1), assumable: true,
		Message: "the file mixes phases: " + strings.Join(parts, ", "),
		Fix: "split it into one file per phase, expand before backfill before contract, each with a version of its own; " +
			"if no code needs the earlier part before the later one ran, declare '-- +interlock phase contract'",
	}
}

func (v *Verdict) describe() string {
	if v.Phase != schema.PhaseMixed {
		return string(v.Phase)
	}
	var names []string
	for p := range v.needs {
		names = append(names, string(p))
	}
	slices.SortFunc(names, func(a, b string) int { return strictness[schema.Phase(a)] - strictness[schema.Phase(b)] })
	return strings.Join(names, " and ") + " at once"
}

// assume applies the file's assumption: its reason takes the place of what could not be shown.
func assume(c *Classified) {
	f := c.File
	if f.AssumePhase == "" {
		return
	}
	used := strictness[c.Phase] > strictness[f.AssumePhase]
	for i := range c.Findings {
		if c.Findings[i].assumable && c.Findings[i].Severity == SeverityError {
			c.Findings[i].Severity = SeverityWarning
			used = true
		}
	}
	if !used {
		c.Findings = append(c.Findings, Finding{Code: "assume-unneeded", Severity: SeverityInfo, File: f.Name, Line: 1,
			Message: fmt.Sprintf("the file is %s without the assumption", c.Phase), Fix: "remove the directive"})
		return
	}
	c.Assumptions = append(c.Assumptions, fmt.Sprintf("%s: assumed %s, classified %s: %s", f.Name, f.AssumePhase, c.Phase, f.AssumeReason))
	c.Phase = f.AssumePhase
}
