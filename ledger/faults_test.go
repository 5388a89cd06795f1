package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagehand-dev/stagehand/events"
	"github.com/stagehand-dev/stagehand/ledger/internal/store"
	"github.com/stagehand-dev/stagehand/ledger/ledgertest"
)

func TestAddresses(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/state")
	t.Setenv("HOME", "/home/u")
	if got, err := store.Locate(""); err != nil || got != "/state/stagehand/ledger.db" {
		t.Error(got, err)
	}
	t.Setenv("XDG_STATE_HOME", "relative")
	if got, err := store.Locate(""); err != nil || got != "/home/u/.local/state/stagehand/ledger.db" {
		t.Error(got, err)
	}
}

func TestUnusableFiles(t *testing.T) {
	for _, c := range []struct {
		name, want string
		make       func(t *testing.T, path string) string
	}{
		{"text", "is damaged", func(t *testing.T, path string) string {
			return put(t, path, []byte(strings.Repeat("this is not a database\n", 400)))
		}},
		{"header only", "is damaged", func(t *testing.T, path string) string {
			return put(t, path, filled(t, path)[:1500])
		}},
		{"another program's", "is the database of another program", func(t *testing.T, path string) string {
			execute(t, path, `CREATE TABLE theirs (x TEXT)`)
			return path
		}},
		{"newer", "was written by a newer stagehand", func(t *testing.T, path string) string {
			filled(t, path)
			execute(t, path, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
			return path
		}},
		{"a folder", "it is a folder", func(t *testing.T, path string) string {
			return filepath.Dir(path)
		}},
		{"below a file", "its folder cannot be made", func(t *testing.T, path string) string {
			return filepath.Join(put(t, path, nil), "l.db")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := c.make(t, filepath.Join(t.TempDir(), "l.db"))
			l, err := Open(t.Context(), path)
			if err == nil {
				_ = l.Close()
				t.Fatal("opened")
			}
			var failed *FileError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || failed.Remedy == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestDamageInTheMiddle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.db")
	content := filled(t, path)
	for i := 8 * 4096; i < len(content); i++ {
		content[i] = 0xaa
	}
	put(t, path, content)
	_, err := Open(t.Context(), path)
	told(t, err, "is damaged")
}

// What looks like an event and is none shows when it is read: SQLite cannot tell.
func TestDamagedEvent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.db")
	filled(t, path)
	execute(t, path, `UPDATE events SET body = '{"v":' WHERE seq = 100`)
	_, err := openAt(t, path).Events(t.Context(), "r1", 0)
	told(t, err, "is damaged")
}

// A file that ends early is met before a run begins, wherever it ends.
func TestTruncated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.db")
	content := filled(t, path)
	for size := len(content) - 1; size > 0; size -= 100 {
		if size < 100 {
			size = 100
		}
		put(t, path, content[:size])
		l, err := Open(t.Context(), path)
		if err == nil {
			_ = l.Close()
			t.Fatalf("opened with %d of %d bytes", size, len(content))
		}
		told(t, err, "is damaged")
		if size == 100 {
			break
		}
	}
}

// crashed returns the two files of a ledger whose process was killed.
func crashed(t *testing.T) (database, wal []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "l.db")
	l := openAt(t, path)
	for i := int64(1); i <= 8; i++ {
		emit(t, l, ended("r1", i, "a", events.Done, "s"))
	}
	var err error
	if database, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	if wal, err = os.ReadFile(path + "-wal"); err != nil || len(wal) < 8*4096 {
		t.Fatalf("%d bytes, %v", len(wal), err)
	}
	return database, wal
}

// The log beside the file, cut or damaged anywhere: what is left is a prefix of the events, to which more
// can be added, or a clear error. Never a hole, a panic or an event that nobody emitted.
func TestDamagedLog(t *testing.T) {
	database, wal := crashed(t)
	path := filepath.Join(t.TempDir(), "l.db")
	whole, cut := 0, 0
	try := func(name string, wal, shm []byte) {
		put(t, path, database)
		put(t, path+"-wal", wal)
		if shm != nil {
			put(t, path+"-shm", shm)
		}
		defer func() {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(path + suffix)
			}
		}()
		l, err := Open(t.Context(), path)
		if err != nil {
			told(t, err, "")
			return
		}
		defer l.Close()
		all, err := l.Events(t.Context(), "r1", 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, e := range all {
			if e.Seq != int64(i+1) || e.Step != "a" {
				t.Fatalf("%s: event %d is %+v", name, i, e)
			}
		}
		if len(all) == 8 {
			whole++
		} else {
			cut++
		}
		if err := l.Emit(t.Context(), ended("r1", int64(len(all)+1), "a", events.Done, "s")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	step := len(wal)/50 + 1
	for at := 0; at <= len(wal); at += step {
		try(fmt.Sprintf("cut at %d", at), wal[:at], nil)
		damaged := bytes.Clone(wal)
		for i := at; i < min(at+8, len(wal)); i++ {
			damaged[i] ^= 0xff
		}
		try(fmt.Sprintf("damaged at %d", at), damaged, nil)
	}
	try("a damaged index", wal, bytes.Repeat([]byte{0xaa}, 32<<10))
	try("a short index", wal, []byte{1, 2, 3})
	if whole < 2 || cut < 25 {
		t.Errorf("%d whole, %d cut: the log was not what was damaged", whole, cut)
	}
}

// A file that lost all its content while a log lies beside it is not a new one.
func TestEmptied(t *testing.T) {
	database, wal := crashed(t)
	path := filepath.Join(t.TempDir(), "l.db")
	put(t, path, nil)
	put(t, path+"-wal", wal)
	_, err := Open(t.Context(), path)
	told(t, err, "is damaged")
	put(t, path, database)
	if all, err := openAt(t, path).Events(t.Context(), "r1", 0); err != nil || len(all) != 8 {
		t.Errorf("the log was touched: %d events, %v", len(all), err)
	}
}

func TestLockedForLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l.db")
	l, err := open(t.Context(), path, 200*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.ExecContext(t.Context(), `BEGIN EXCLUSIVE`); err != nil {
		t.Fatal(err)
	}
	told(t, l.Emit(t.Context(), started("r1", "haf", "e1")), "another process kept it locked for 200ms")
	if _, err := other.ExecContext(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	emit(t, l, started("r1", "haf", "e1"))
}

// A disk that fills up in the middle of a run: a clear error, nothing that was kept is lost, and
// with room again it goes on. A full one is met before a run begins.
func TestFullDisk(t *testing.T) {
	folder := ledgertest.Disk(t, "600k")
	path := filepath.Join(folder, "l.db")
	l, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	emit(t, l, started("r1", "haf", "e1"))
	seq := int64(2)
	for ; seq < 2000; seq++ {
		e := ended("r1", seq, "a", events.Failed, "s")
		e.Logs = []string{strings.Repeat("x", 2000)}
		if err = l.Emit(t.Context(), e); err != nil {
			break
		}
	}
	told(t, err, "the disk is full")
	_ = l.Close() // to fold the log into the file needs room, too
	rest, err := os.Create(filepath.Join(folder, "rest"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(rest, strings.NewReader(strings.Repeat("x", 1<<20))) // up to the last byte
	_ = rest.Close()
	l, err = Open(t.Context(), path)
	if err == nil {
		err = l.Emit(t.Context(), started("r2", "haf", "e1"))
		_ = l.Close()
	}
	told(t, err, "the disk is full")
	if err := os.Remove(rest.Name()); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,size=2m", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	l, err = Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	emit(t, l, started("r3", "haf", "e1"))
	if all, err := l.Events(t.Context(), "r1", 0); err != nil || int64(len(all)) != seq-1 {
		t.Errorf("%d events where %d were kept, %v", len(all), seq-1, err)
	}
}

// A file system that is, or becomes, read-only.
func TestReadOnlyDisk(t *testing.T) {
	folder := ledgertest.Disk(t, "2m")
	path := filepath.Join(folder, "l.db")
	filled(t, path)
	if output, err := exec.CommandContext(t.Context(), "mount", "-o", "remount,ro", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, address := range []string{path, filepath.Join(folder, "new.db"), filepath.Join(folder, "new", "l.db")} {
		l, err := Open(t.Context(), address)
		if err == nil {
			err = l.Emit(t.Context(), started("r2", "haf", "e1"))
			_ = l.Close()
		}
		told(t, err, "cannot be written")
	}
}

// Permissions do not bind root, so the file is opened by a process of user nobody.
func TestReadOnly(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	folder, err := os.MkdirTemp("", "ledger-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "l.db")
	filled(t, path)
	for _, name := range []string{folder, path} {
		if err := os.Chmod(name, 0o555); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(folder, "test")
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, program, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary)
	command.Dir = "/"
	command.Env = []string{"LEDGER_OPEN_AS_NOBODY=" + path, "HOME=/nonexistent"}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "make the file and its folder writable") && !strings.Contains(string(output), "its folder must be writable") &&
		!strings.Contains(string(output), "permission denied") || !strings.Contains(string(output), path) {
		t.Errorf("%v: %s", err, output)
	}
}

// openAsNobody prints the error that it is expected to meet and returns 0 for it.
func openAsNobody(path string) int {
	ctx := context.Background()
	l, err := Open(ctx, path)
	if err == nil {
		err = l.Emit(ctx, event("r2", 1, events.RunStarted))
	}
	fmt.Println(err)
	if err == nil {
		return 1
	}
	return 0
}

// filled makes a ledger with events, closes it and returns the file's content.
func filled(t *testing.T, path string) []byte {
	t.Helper()
	l, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for i := int64(1); i <= 100; i++ {
		emit(t, l, ended("r1", i, "a", events.Done, strings.Repeat("x", 200)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func put(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
