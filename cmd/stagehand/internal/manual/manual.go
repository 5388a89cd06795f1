// Package manual writes the manual pages of commands, in man(7)'s language. It is our own as
// that of cobra takes the help for Markdown: <NAME> vanishes there, and columns run together.
package manual

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Name is the name of the command's page: stagehand-apps-show.
func Name(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// Page is the command's page, for section 1. version is that of the program.
func Page(c *cobra.Command, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" %s %s\n", quoted(strings.ToUpper(Name(c))), quoted(c.Root().Name()+" "+version), quoted(c.Root().Name()))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escaped(Name(c)), escaped(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", escaped(c.CommandPath()))
	if rest, found := strings.CutPrefix(c.UseLine(), c.CommandPath()+" "); found {
		line(&b, rest)
	}
	b.WriteString(".SH DESCRIPTION\n")
	if c.Long == "" {
		line(&b, c.Short+".")
	}
	prose(&b, c.Long)
	if subs := visible(c); len(subs) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range subs {
			fmt.Fprintf(&b, ".TP\n.BR %s (1)\n", escaped(Name(sub)))
			line(&b, sub.Short)
		}
	}
	options(&b, "OPTIONS", c.NonInheritedFlags())
	options(&b, "GLOBAL OPTIONS", c.InheritedFlags())
	if c.Example != "" {
		b.WriteString(".SH EXAMPLES\n")
		verbatim(&b, strings.Split(c.Example, "\n"))
	}
	if c.HasParent() {
		also := []*cobra.Command{c.Parent()}
		for _, sub := range visible(c.Parent()) {
			if c.Parent().HasParent() && sub != c { // of all commands only the main page tells
				also = append(also, sub)
			}
		}
		b.WriteString(".SH SEE ALSO\n")
		for i, other := range also {
			comma := ","
			if i == len(also)-1 {
				comma = ""
			}
			fmt.Fprintf(&b, ".BR %s (1)%s\n", escaped(Name(other)), comma)
		}
	}
	return b.String()
}

// visible are the commands of c that people use, by name.
func visible(c *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(c.Commands()), func(sub *cobra.Command) bool { return sub.Hidden })
}

// prose writes paragraphs; lines that are indented stand as they are.
func prose(b *strings.Builder, text string) {
	var indented []string
	flush := func() {
		verbatim(b, indented)
		indented = nil
	}
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\n")
		switch {
		case strings.HasPrefix(l, "  "):
			indented = append(indented, l)
			continue
		case l == "":
			flush()
			b.WriteString(".PP\n")
			continue
		}
		flush()
		line(b, l)
	}
	flush()
}

// verbatim writes lines that must not be filled.
func verbatim(b *strings.Builder, lines []string) {
	if len(lines) == 0 {
		return
	}
	b.WriteString(".PP\n.nf\n")
	for _, l := range lines {
		line(b, l)
	}
	b.WriteString(".fi\n")
}

// line writes one line of text, which is no request even where it begins like one.
func line(b *strings.Builder, text string) {
	text = escaped(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		b.WriteString(`\&`)
	}
	b.WriteString(text + "\n")
}

func options(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		name := `\fB` + escaped("--"+f.Name) + `\fR`
		if f.Shorthand != "" {
			name = `\fB` + escaped("-"+f.Shorthand) + `\fR, ` + name
		}
		if value != "" {
			name += ` \fI` + escaped(value) + `\fR`
		}
		if !slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) && !strings.Contains(usage, "(default") {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(b, ".TP\n%s\n", name)
		line(b, usage)
	})
}

// escaped keeps what stands in the text as it is: backslashes, and hyphens, which
// would come out as another character than the one to type.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
}

func quoted(text string) string { return `"` + strings.ReplaceAll(escaped(text), `"`, `\(dq`) + `"` }
