package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// ask sends the admin endpoint a request of the system user.
func ask(t *testing.T, c cluster, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer system")
	w := httptest.NewRecorder()
	c.admin("system").ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func deploy(t *testing.T, c cluster, app string, partitions, workspaces int) (int, string) {
	t.Helper()
	return ask(t, c, "POST", "/api/sys/cluster/c.cluster.DeployApp",
		fmt.Sprintf(`{"AppQName": %q, "NumPartitions": %d, "NumAppWorkspaces": %d}`, app, partitions, workspaces))
}

// TestRefusals: each has its status and its text, comes in its order (of several faults the first one is
// told), and changes nothing.
func TestRefusals(t *testing.T) {
	w, c := newCluster(t)
	if code, text := deploy(t, c, "untill/airs-bp", 2, 10); code != 201 {
		t.Fatal(code, text)
	}
	long := "untill/" + strings.Repeat("x", 57)
	for _, test := range []struct {
		app                    string
		partitions, workspaces int
		code                   int
		text                   string
	}{
		{"airs-bp", 0, 0, 400, `failed to parse AppQName "airs-bp"`},
		{"", 2, 10, 400, `failed to parse AppQName ""`},
		{"untill/airs/bp", 2, 10, 400, "failed to parse AppQName"},
		{"Untill/airs-bp", 2, 10, 400, "failed to parse AppQName"},
		{`untill/x"; DROP TABLE App`, 2, 10, 400, "failed to parse AppQName"},
		{long, 2, 10, 400, "at most 63 characters"},
		{"sys/cluster", 0, 0, 400, "sys/cluster app can not be deployed by c.cluster.DeployApp"},
		{"sys/cluster", 1, 1, 400, "sys/cluster app can not be deployed by c.cluster.DeployApp"},
		{"untill/airs-bp", 0, 0, 400, "NumAppWorkspaces=0 is not in 1..32768"},
		{"untill/new", 2, 32769, 400, "NumAppWorkspaces=32769 is not in 1..32768"},
		{"untill/airs-bp", 0, 11, 400, "NumPartitions=0 is not in 1..65535"},
		{"untill/new", 65536, 10, 400, "NumPartitions=65536 is not in 1..65535"},
		{"untill/new", -1, 10, 400, "NumPartitions=-1 is not in 1..65535"},
		{"untill/airs-bp", 3, 11, 409, "num partitions changed: app untill/airs-bp declaring NumPartitions=3 but was previously deployed with NumPartitions=2"},
		{"untill/airs-bp", 2, 11, 409, "num application workspaces changed: app untill/airs-bp declaring NumAppWorkspaces=11 but was previously deployed with NumAppWorkspaces=10"},
	} {
		unchanged := w.unchanged()
		if code, text := deploy(t, c, test.app, test.partitions, test.workspaces); code != test.code || !strings.Contains(text, test.text) {
			t.Errorf("%s %d %d: %d %s; want %d %s", test.app, test.partitions, test.workspaces, code, text, test.code, test.text)
		}
		unchanged()
	}
	for _, body := range []string{"", "[]", "{", `{"AppQName": "a/b", "NumPartitions": 1.5, "NumAppWorkspaces": 1}`, `{"Partitions": 1}`,
		`{"AppQName": "a/b", "NumPartitions": 1e99, "NumAppWorkspaces": 1}`, `{"AppQName": "` + strings.Repeat("x", maxBody) + `"}`} {
		unchanged := w.unchanged()
		if code, text := ask(t, c, "POST", "/api/sys/cluster/c.cluster.DeployApp", body); code != 400 || !strings.Contains(text, "no descriptor") {
			t.Errorf("%.60s: %d %.200s", body, code, text)
		}
		unchanged()
	}
}

// TestLimitsAreDeployed: the largest counts that are allowed, and the longest name.
func TestLimitsAreDeployed(t *testing.T) {
	w, c := newCluster(t)
	app := "untill/" + strings.Repeat("x", 56)
	if code, text := deploy(t, c, app, 65535, 32768); code != 201 {
		t.Fatal(code, text)
	}
	if got := w.value("SELECT count(*) || ' from ' || min(ID) || ' to ' || max(ID) FROM " + quoted(app) + ".Workspace"); got != "32768 from 131072 to 163839" {
		t.Error(got)
	}
	if code, text := deploy(t, c, app, 65535, 32768); code != 200 {
		t.Error(code, text)
	}
}

func TestOnlyTheSystemUserDeploys(t *testing.T) {
	w, c := newCluster(t)
	unchanged := w.unchanged()
	for _, token := range []string{"", "system", "Bearer ", "Bearer systen", "bearer system"} {
		for _, path := range []string{"/api/sys/cluster/c.cluster.DeployApp", "/", "//health"} {
			r := httptest.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader(`{"AppQName": "a/b", "NumPartitions": 1, "NumAppWorkspaces": 1}`))
			r.Header.Set("Authorization", token)
			answer := httptest.NewRecorder()
			if c.admin("system").ServeHTTP(answer, r); answer.Code != 401 {
				t.Errorf("%q at %s: %d", token, path, answer.Code)
			}
		}
	}
	unchanged()
}

// TestTheSameRecordAgain: success, and nothing is written.
func TestTheSameRecordAgain(t *testing.T) {
	w, c := newCluster(t)
	if code, text := deploy(t, c, "sys/registry", 3, 10); code != 201 {
		t.Fatal(code, text)
	}
	unchanged := w.unchanged()
	if code, text := deploy(t, c, "sys/registry", 3, 10); code != 200 {
		t.Error(code, text)
	}
	if err := initCluster(t.Context(), w.db); err != nil {
		t.Error(err)
	}
	for _, storage := range []string{"sysmeta", clusterApp, "sys/registry"} {
		if code := w.run("storage", storage); code != 0 {
			t.Errorf("storage %s: exit %d", storage, code)
		}
	}
	unchanged()
}

// TestStoragesSideBySide: sysmeta comes with whichever is first.
func TestStoragesSideBySide(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if code := w.run("storage", []string{"blobber", "router"}[i%2]); code != 0 {
				t.Errorf("exit %d", code)
			}
		})
	}
	all.Wait()
	if got, want := w.content(), "blobber public router sysmeta\nsysmeta.storage: (blobber) (router)"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestWhatIsThereIsSkipped: of an app without a record the storage, a table and some workspaces may be there.
func TestWhatIsThereIsSkipped(t *testing.T) {
	w, c := newCluster(t)
	for _, query := range []string{
		`CREATE SCHEMA "demo/shop"`, `INSERT INTO sysmeta.Storage VALUES ('demo/shop')`,
		`CREATE TABLE "demo/shop".Workspace (ID bigint PRIMARY KEY)`, `INSERT INTO "demo/shop".Workspace VALUES (131073)`,
	} {
		if _, err := w.db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	other, d := newCluster(t)
	for _, c := range []cluster{c, d} {
		if code, text := deploy(t, c, "demo/shop", 2, 3); code != 201 {
			t.Fatal(code, text)
		}
	}
	if got, want := w.content(), other.content(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestNothingIsDeployedBeforeTheClusterApp: neither without its tables nor without its partition.
func TestNothingIsDeployedBeforeTheClusterApp(t *testing.T) {
	w := newWorld(t)
	c := cluster{w.db}
	for _, prepare := range []func() error{
		func() error { return nil },
		func() error { return initCluster(t.Context(), w.db) },
	} {
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		unchanged := w.unchanged()
		if code, text := deploy(t, c, "sys/registry", 3, 10); code != http.StatusServiceUnavailable {
			t.Error(code, text)
		}
		unchanged()
	}
}

// TestManyDeployOneApp: one count wins, its deployers succeed, one of them first; all others are refused.
func TestManyDeployOneApp(t *testing.T) {
	w, c := newCluster(t)
	var mu sync.Mutex
	codes := map[int]map[int]int{2: {}, 3: {}}
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			code, _ := deploy(t, c, "demo/shop", 2+i%2, 5)
			mu.Lock()
			defer mu.Unlock()
			codes[2+i%2][code]++
		})
	}
	all.Wait()
	won := 2
	if w.value(`SELECT NumPartitions FROM "sys/cluster".App WHERE AppQName = 'demo/shop'`) == "3" {
		won = 3
	}
	if first, same, refused := codes[won][201], codes[won][200], codes[5-won][409]; first != 1 || same != 11 || refused != 12 {
		t.Errorf("%d partitions won: %v", won, codes)
	}
}

// whole tells whether demo/shop is there with its record; it fails the test where there is one without the other.
func (w *world) whole(partitions, workspaces int) bool {
	w.Helper()
	record := w.value(`SELECT string_agg(format('%s %s', NumPartitions, NumAppWorkspaces), ', ') FROM "sys/cluster".App WHERE AppQName = 'demo/shop'`)
	made := w.value(`SELECT to_regnamespace('"demo/shop"') IS NOT NULL OR EXISTS (SELECT FROM sysmeta.Storage WHERE Name = 'demo/shop')`)
	if record == "" && made == "false" {
		return false
	}
	all := w.value(`SELECT string_agg(to_regclass(format('"demo/shop".%s', name))::text, ' ') FROM unnest('{Workspace, PLog, View, Actualized}'::text[]) AS name`)
	if record != fmt.Sprint(partitions, " ", workspaces) || strings.Count(all, "demo/shop") != 4 || w.value(`SELECT count(*) FROM "demo/shop".Workspace`) != fmt.Sprint(workspaces) {
		w.Errorf("record %q, storage %s, tables %s", record, made, all)
	}
	return true
}

// TestTheRecordAndItsStorageDoNotComeApart: the connection dies before each statement of DeployApp in turn. Then
// another count is refused exactly where the first one is recorded, and the first one can always be had there.
func TestTheRecordAndItsStorageDoNotComeApart(t *testing.T) {
	recorded, nothing := 0, 0
	for point, over := 1, false; !over; point++ {
		w, c := newCluster(t)
		passed, died := 0, ""
		w.tracer.before = func(query string, backend uint32) {
			if passed++; passed == point {
				died = strings.Join(strings.Fields(query), " ")
				w.value("SELECT pg_terminate_backend($1, 60000)", backend)
			}
		}
		_, err := c.deployApp(t.Context(), descriptor{"demo/shop", 2, 5})
		w.tracer.before = nil
		over = died == ""
		if over != (err == nil) && died != "begin" && !strings.HasPrefix(died, "begin ") { // who begins on a dead connection gets another one
			t.Fatalf("died before %q: %v", died, err)
		}
		there := w.whole(2, 5)
		if there != (err == nil) {
			t.Errorf("died before %q: %v, but it is there: %v", died, err, there)
		}
		code, text := deploy(t, c, "demo/shop", 3, 5)
		switch {
		case there && code == 409:
			recorded++
			w.whole(2, 5)
			if code, text := deploy(t, c, "demo/shop", 2, 5); code != 200 {
				t.Errorf("died before %q, with 2 again: %d %s", died, code, text)
			}
		case !there && code == 201:
			nothing++
			w.whole(3, 5)
		default:
			t.Errorf("died before %q: it is there: %v, but 3 partitions: %d %s", died, there, code, text)
		}
	}
	if recorded == 0 || nothing < 6 {
		t.Errorf("%d times recorded, %d times nothing: this proves nothing", recorded, nothing)
	}
	t.Logf("%d times recorded, %d times nothing", recorded, nothing)
}

// TestTheServerCrashesAtTheCommit: before it nothing is there, after it all is, also where nobody has heard of it.
func TestTheServerCrashesAtTheCommit(t *testing.T) {
	for _, after := range []bool{false, true} {
		w, c := newCluster(t)
		crashed := false
		crash := func(query string, _ uint32) {
			if !strings.EqualFold(query, "commit") || crashed {
				return
			}
			crashed = true
			if err := errors.Join(w.server.End(), w.server.Begin(context.WithoutCancel(t.Context()))); err != nil {
				t.Error(err)
			}
		}
		if after {
			w.tracer.after = crash
		} else {
			w.tracer.before = crash
		}
		_, _ = c.deployApp(t.Context(), descriptor{"demo/shop", 2, 5})
		if !crashed {
			t.Fatal("there was no commit")
		}
		w.tracer.before, w.tracer.after = nil, nil
		for range 10 { // connections from before the crash are dead
			_ = w.look.PingContext(t.Context())
			_ = w.db.PingContext(t.Context())
		}
		if there := w.whole(2, 5); there != after {
			t.Errorf("crashed after the commit: %v, but it is there: %v", after, there)
		}
		want := 201
		if after {
			want = 409
		}
		if code, text := deploy(t, c, "demo/shop", 3, 5); code != want {
			t.Errorf("crashed after the commit: %v; 3 partitions: %d %s", after, code, text)
		}
	}
}
