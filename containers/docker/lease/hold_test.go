package lease

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// heldBy runs hold in the bubble; the function returned waits for its exit code.
func heldBy(t *testing.T, stdin io.Reader, stdout io.Writer, stop <-chan os.Signal) func() int {
	t.Helper()
	var code int
	var group sync.WaitGroup
	group.Go(func() { code = hold(time.Minute, stdin, stdout, stop) })
	return func() int {
		group.Wait()
		return code
	}
}

func TestHoldEndsAtTheEndOfItsInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		var printed bytes.Buffer
		wait := heldBy(t, in, &printed, nil)
		_, _ = io.WriteString(out, "b1\nnote\ncut off")
		began := time.Now()
		out.Close()
		if code := wait(); code != 0 || time.Since(began) != 0 {
			t.Errorf("exit %d after %s", code, time.Since(began))
		}
		if printed.String() != "b1\nnote\n" {
			t.Errorf("printed %q", &printed)
		}
	})
}

func TestHoldEndsWhenNoLineComesForTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		echo, printed := io.Pipe()
		wait := heldBy(t, in, printed, nil)
		began := time.Now()
		lines := bufio.NewReader(echo)
		for range 5 {
			time.Sleep(50 * time.Second)
			_, _ = io.WriteString(out, "b\n")
			if line, _ := lines.ReadString('\n'); line != "b\n" {
				t.Errorf("printed %q", line)
			}
		}
		if code := wait(); code != 1 || time.Since(began) != 5*50*time.Second+time.Minute {
			t.Errorf("exit %d after %s", code, time.Since(began))
		}
		out.Close()
		synctest.Wait()
	})
}

// An output that nobody reads does not keep a lease whose holder is gone.
func TestHoldEndsThoughItsOutputIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		echo, printed := io.Pipe()
		wait := heldBy(t, strings.NewReader("b1\n"), printed, nil)
		if code := wait(); code != 1 {
			t.Errorf("exit %d", code)
		}
		echo.Close()
	})
}

func TestHoldEndsWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		stop := make(chan os.Signal, 1)
		wait := heldBy(t, in, io.Discard, stop)
		stop <- os.Interrupt
		if code := wait(); code != 0 {
			t.Errorf("exit %d", code)
		}
		out.Close()
	})
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"x"}, {"0"}, {"-1"}, {"1", "2"}} {
		var said bytes.Buffer
		if code := Main(args, strings.NewReader(""), io.Discard, &said); code != 2 || said.Len() == 0 {
			t.Errorf("%q: exit %d, said %q", args, code, &said)
		}
	}
	if code := Main([]string{"60000"}, strings.NewReader(""), io.Discard, io.Discard); code != 0 {
		t.Errorf("exit %d", code)
	}
}
