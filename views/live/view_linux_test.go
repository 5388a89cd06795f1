package live

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/stagehand-dev/stagehand/events"
)

// BenchmarkView is what the display of 100 apps costs, on a terminal of 160 by 50 and with 300 events a
// second, of a core: the whole view, with the terminal's other end being read. It takes 5 s, whatever b.N.
func BenchmarkView(b *testing.B) {
	ours, terminal, err := pty.Open()
	if err != nil {
		b.Skip(err)
	}
	defer ours.Close()
	if err := pty.Setsize(ours, &pty.Winsize{Rows: 50, Cols: 160}); err != nil {
		b.Fatal(err)
	}
	read := make(chan int64)
	go func() { // ends with the terminal
		n, _ := io.Copy(io.Discard, ours)
		read <- n
	}()
	story := many()
	story.began = time.Now().Add(-31 * time.Second)
	v := &View{Run: story.Run, Terminal: terminal, Environ: []string{"TERM=xterm-256color"}}
	tell := func(kind events.Kind, i int, e events.Event) {
		e.Kind, e.Time, e.Step = kind, time.Now(), fmt.Sprintf("app-live/app%03d", i%91)
		if err := v.Emit(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	const lasts, pause = 5 * time.Second, 10 * time.Millisecond
	before, began := cpu(b), time.Now()
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for i := 0; time.Since(began) < lasts; i++ {
		<-ticker.C
		tell(events.StepProgress, i, events.Event{Progress: &events.Progress{Done: float64(i % 98), Total: 98, Unit: "Mblocks", Text: "syncing"}})
		tell(events.StepOutput, i+30, events.Event{Logs: []string{fmt.Sprintf("imported block %d", i)}})
		tell(events.StepWaiting, i+60, events.Event{Cause: fmt.Sprintf("sql: %d blocks behind", i)})
	}
	used, took := cpu(b)-before, time.Since(began)
	if err := v.Close(); err != nil {
		b.Fatal(err)
	}
	terminal.Close()
	b.ReportMetric(100*used.Seconds()/took.Seconds(), "%core")
	b.ReportMetric(float64(<-read)/took.Seconds(), "B/s")
	b.ReportMetric(0, "ns/op")
}

// cpu is the time that this process has computed.
func cpu(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
