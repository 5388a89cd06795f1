package live

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/stagehand-dev/stagehand/events"
)

// showAfter is how long a run must take to be worth a frame: one that finds nothing to do does not flash.
const showAfter = 200 * time.Millisecond

// View shows a run on a terminal from its first event until its end, beneath what stands
// there already. It reads no input, and leaves signals to whoever handles them.
type View struct {
	Run *Run
	// Terminal takes the frames.
	Terminal *os.File
	// Input is the terminal that is typed at, nil for none: while the view is there it does not show what is typed.
	Input *os.File
	// Environ says what the terminal can do, as KEY=VALUE.
	Environ []string

	mu sync.Mutex // guards Run and tallest
	// tallest is the number of newlines in the tallest frame so far. Later ones are filled up to it:
	// one of another height is drawn anew as a whole.
	tallest int

	life    sync.Mutex // guards what follows; never taken by the program
	program *tea.Program
	over    chan struct{}
	group   sync.WaitGroup
	ended   bool
	err     error
}

var _ events.Sink = (*View)(nil)

// Emit takes an event in. The first one begins the view, run.ended ends it; the error is the terminal's.
func (v *View) Emit(_ context.Context, e events.Event) error {
	v.mu.Lock()
	v.Run.Apply(e)
	v.mu.Unlock()
	if e.Kind == events.RunEnded {
		return v.Close()
	}
	if e.Kind == events.RunInterrupted { // who asks to stop is answered at once
		defer v.draw()
	}
	v.life.Lock()
	defer v.life.Unlock()
	if v.program == nil && !v.ended {
		v.begin()
	}
	return nil
}

// begin starts the program; Close waits for it.
func (v *View) begin() {
	v.program = tea.NewProgram(screen{view: v},
		tea.WithInput(nil), tea.WithoutSignalHandler(), tea.WithOutput(whole{v.Terminal}), tea.WithEnvironment(v.Environ),
		tea.WithFPS(int(2*time.Second/turnEvery)))
	v.over = make(chan struct{})
	v.group.Go(func() { _, v.err = v.program.Run() })
	v.group.Go(v.turn)
}

// turn has the frame drawn again and again while the terminal is ours.
func (v *View) turn() {
	restore := mute(v.Input)
	defer func() { restore() }()
	stops, forget := stopSignals()
	defer forget()
	ticker := time.NewTicker(turnEvery)
	defer ticker.Stop()
	for {
		select {
		case <-v.over:
			return
		case <-ticker.C:
			if Foreground(v.Terminal) {
				v.program.Send(turn{})
			}
		case <-stops:
			_ = v.program.ReleaseTerminal() // there is nothing else to do with a terminal that is gone
			restore()
			stopProcess() // returns when the process goes on
			restore = mute(v.Input)
			_ = v.program.RestoreTerminal()
		}
	}
}

// Say shows a text that is to stay, and tells whether there was a view to show it.
func (v *View) Say(text string) bool {
	v.life.Lock()
	defer v.life.Unlock()
	if v.program == nil || v.ended {
		return false
	}
	v.mu.Lock()
	v.Run.Note(text)
	v.mu.Unlock()
	v.program.Send(turn{})
	return true
}

// draw has a frame drawn now.
func (v *View) draw() {
	v.life.Lock()
	defer v.life.Unlock()
	if v.program != nil && !v.ended {
		v.program.Send(turn{})
	}
}

// Close ends the view, if it has not ended already, and leaves its last frame there. It may be called again.
func (v *View) Close() error {
	v.life.Lock()
	defer v.life.Unlock()
	if v.ended || v.program == nil {
		v.ended = true
		return v.err
	}
	v.ended = true
	close(v.over)
	v.program.Quit()
	v.group.Wait()
	return v.err
}

// frame is what stands on a terminal of that size now. A line is left free: were the terminal
// full, clearing the frame would be clearing the screen, which some keep for their users to scroll back to.
func (v *View) frame(width, height int) string {
	height--
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	if v.Run.ended.IsZero() && now.Sub(v.Run.began) < showAfter {
		return ""
	}
	if v.Run.ended.IsZero() {
		frame := v.Run.Frame(width, height, now)
		lines := strings.Count(frame, "\n")
		v.tallest = min(max(v.tallest, lines), height-1)
		return frame + strings.Repeat("\n", max(v.tallest-lines, 0))
	}
	frame := v.Run.Frame(width, height-2, now)
	if frame != "" {
		frame += "\n\n" // what is written next stands beneath it
	}
	return frame
}

// turn asks for a frame.
type turn struct{}

// screen is the view as bubbletea has it.
type screen struct {
	view          *View
	width, height int
}

// Init begins with nothing.
func (s screen) Init() tea.Cmd { return nil }

// Update minds the terminal's size.
func (s screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if size, ok := msg.(tea.WindowSizeMsg); ok {
		s.width, s.height = size.Width, size.Height
	}
	return s, nil
}

// View is the frame.
func (s screen) View() tea.View {
	view := tea.NewView(s.view.frame(s.width, s.height))
	view.DisableBracketedPasteMode = true // nothing is read
	return view
}

// whole has the terminal show each write at once (mode 2026): a frame that is half drawn would
// flicker. Terminals that do not know the mode pass it over; bubbletea uses it where a terminal
// answers that it does, and we read no answers.
type whole struct{ *os.File }

// Write writes p as a whole.
func (w whole) Write(p []byte) (int, error) {
	if _, err := w.File.Write(slices.Concat([]byte(ansi.SetModeSynchronizedOutput), p, []byte(ansi.ResetModeSynchronizedOutput))); err != nil {
		return 0, err
	}
	return len(p), nil
}
