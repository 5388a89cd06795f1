package manual

import (
	"testing"

	"github.com/spf13/cobra"
)

func TestPage(t *testing.T) {
	root := &cobra.Command{Use: "tool", Short: "Does things"}
	root.PersistentFlags().StringP("file", "f", "", "`FILE` to read (default tool.yaml)")
	c := &cobra.Command{
		Use: "make [OPTIONS] THING", Short: "Makes a thing", Run: func(*cobra.Command, []string) {},
		Long:    "Makes a <THING>:\n  one   a \\ backslash\n  two   it's here\nand goes on.\n\n.B is no request.",
		Example: "  tool make it  # quickly",
	}
	c.DisableFlagsInUseLine = true
	c.Flags().Int("times", 3, "how `OFTEN`")
	root.AddCommand(c, &cobra.Command{Use: "hidden", Hidden: true, Run: func(*cobra.Command, []string) {}})
	const want = `.TH "TOOL\-MAKE" 1 "" "tool v1" "tool"
.SH NAME
tool\-make \- Makes a thing
.SH SYNOPSIS
.B tool make
[OPTIONS] THING
.SH DESCRIPTION
Makes a <THING>:
.PP
.nf
  one   a \e backslash
  two   it\(aqs here
.fi
and goes on.
.PP
\&.B is no request.
.SH OPTIONS
.TP
\fB\-\-times\fR \fIOFTEN\fR
how OFTEN (default 3)
.SH GLOBAL OPTIONS
.TP
\fB\-f\fR, \fB\-\-file\fR \fIFILE\fR
FILE to read (default tool.yaml)
.SH EXAMPLES
.PP
.nf
  tool make it  # quickly
.fi
.SH SEE ALSO
.BR tool (1)
`
	if got := Page(c, "v1"); got != want {
		t.Errorf("got\n%s", got)
	}
}
