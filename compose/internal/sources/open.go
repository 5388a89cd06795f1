package sources

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/sirupsen/logrus"

	"github.com/stagehand-dev/stagehand/compose/internal/models"
	"github.com/stagehand-dev/stagehand/compose/trees"
	"github.com/stagehand-dev/stagehand/problems"
)

// defaultNames are looked for in this order where no file is named.
var defaultNames = []string{
	"stagehand.yaml", "stagehand.yml", "compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml",
}

// overrideNames are merged over a Compose file that was found by its name.
var overrideNames = []string{
	"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml",
}

// quiet silences logrus, by which compose-go prints warnings of its own to
// standard error: what they say is reported in its place, as a problem.
var quiet = sync.OnceFunc(func() { logrus.SetLevel(logrus.PanicLevel) })

// Open finds, reads and parses the files, and finds the stack's name and
// environment. What is wrong with any of that is reported to list. It returns nil when
// the files cannot be used at all.
func Open(o Options, list *problems.List) *Source {
	quiet()
	s := &Source{Env: environ(o.Environ)}
	if o.Dir != "" {
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			list.Add(problems.Pos{File: o.Dir}, "", "%v", err)
			return nil
		}
		s.Dir = dir
	}
	if !s.envFiles(o, list) {
		return nil
	}
	first := ""
	if len(o.Files) == 0 {
		// As Compose does: what says which files are read may stand in the .env of the
		// folder that it is called in.
		first = start(o)
		s.environment(first, list)
	}
	names := s.names(o, list)
	if names == nil || !s.read(o, names, list) {
		return nil
	}
	if s.Dir == "" {
		s.Dir = s.defaultDir()
	}
	if first == "" || len(s.EnvFiles) == 0 && first != s.Dir {
		s.environment(s.Dir, list)
	}
	s.Profiles = o.Profiles
	if len(s.Profiles) == 0 {
		for p := range strings.SplitSeq(s.Env["COMPOSE_PROFILES"], ",") {
			if p = strings.TrimSpace(p); p != "" {
				s.Profiles = append(s.Profiles, p)
			}
		}
	}
	s.Name = s.name(o, list)
	if s.Name == "" {
		return nil
	}
	s.Env["COMPOSE_PROJECT_NAME"] = s.Name
	s.follow(list)
	s.mention()
	s.confide(o.Secrets)
	s.check(list)
	return s
}

func environ(pairs []string) map[string]string {
	if pairs == nil {
		pairs = os.Environ()
	}
	env := map[string]string{}
	for _, pair := range pairs {
		if k, v, ok := strings.Cut(pair, "="); ok && k != "" {
			env[k] = v
		}
	}
	return env
}

// names returns the files to read, as the user knows them; nil for none.
func (s *Source) names(o Options, list *problems.List) []string {
	if len(o.Files) > 0 {
		return o.Files
	}
	if value := s.Env["COMPOSE_FILE"]; value != "" {
		separator := s.Env["COMPOSE_PATH_SEPARATOR"]
		if separator == "" {
			separator = string(os.PathListSeparator)
		}
		names := strings.Split(value, separator)
		for i, name := range names {
			if name != "-" && o.Dir != "" {
				names[i] = from(o.Dir, name)
			}
		}
		return names
	}
	first := start(o)
	for dir := first; ; dir = filepath.Dir(dir) {
		if found := firstIn(dir, defaultNames); found != "" {
			names := []string{displayed(found)}
			if override := firstIn(dir, overrideNames); override != "" && !strings.HasPrefix(filepath.Base(found), "stagehand.") {
				names = append(names, displayed(override))
			}
			return names
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	list.Add(problems.Pos{File: displayed(first)}, "name one with -f FILE, or have one written: stagehand init",
		"no stack file here or in any folder above (%s)", strings.Join(defaultNames, ", "))
	return nil
}

// start is the folder in which files are looked for.
func start(o Options) string {
	if dir, err := filepath.Abs(o.Dir); err == nil {
		return dir
	}
	return o.Dir
}

// from is the path, if it is relative, as it is from the folder.
func from(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func firstIn(dir string, names []string) string {
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.IsDir() {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

// displayed is the path from the current folder when the file is in or below it, else the absolute one.
func displayed(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(wd, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return path
	}
	return rel
}

// read reads and parses all files; false when one of them is unusable.
func (s *Source) read(o Options, names []string, list *problems.List) bool {
	ok := true
	for _, name := range names {
		f := &File{Path: "-", Name: "<stdin>", Text: o.Stdin}
		if name != "-" {
			var good bool
			if f, good = readFile(name, list); !good {
				ok = false
				continue
			}
		}
		if !s.parse(f, list) {
			ok = false
		}
		s.Files = append(s.Files, f)
	}
	return ok
}

// readFile reads the file; where it cannot, it says why.
func readFile(name string, list *problems.List) (*File, bool) {
	path, err := filepath.Abs(name)
	if err != nil {
		list.Add(problems.Pos{File: name}, "", "%v", err)
		return nil, false
	}
	text, err := os.ReadFile(path)
	if err != nil {
		list.Add(problems.Pos{File: name}, "", "%s", problems.Unread(err))
		return nil, false
	}
	return &File{Path: path, Name: name, Text: text}, true
}

func (s *Source) parse(f *File, list *problems.List) bool {
	list.Source(f.Name, f.Text)
	f.lines = strings.Split(string(f.Text), "\n")
	docs, ok := trees.Parse(f.Name, f.Text, list)
	if !ok {
		return false
	}
	f.Docs = docs
	f.Own = ownsTopLevel(f)
	f.Documents, ok = models.Decode(f.Name, f.Text, f.OwnKeys(), list)
	return ok
}

func (s *Source) defaultDir() string {
	for _, f := range s.Files {
		if f.Path != "-" {
			return filepath.Dir(f.Path)
		}
	}
	wd, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return wd
}

// envFiles finds the env files that the user named; false where one of their
// paths means nothing.
func (s *Source) envFiles(o Options, list *problems.List) bool {
	named := slices.Clone(o.EnvFiles)
	if value := s.Env["COMPOSE_ENV_FILES"]; len(named) == 0 && value != "" {
		for _, name := range strings.Split(value, ",") {
			named = append(named, from(o.Dir, name))
		}
	}
	for _, name := range named {
		path, err := filepath.Abs(name)
		if err != nil {
			list.Add(problems.Pos{File: name}, "", "%v", err)
			return false
		}
		s.EnvFiles = append(s.EnvFiles, path)
	}
	return true
}

// environment adds the env files that the user named, or else the folder's
// .env. What the environment has already wins.
func (s *Source) environment(dir string, list *problems.List) {
	files := s.EnvFiles
	if len(files) == 0 {
		path := filepath.Join(dir, ".env")
		info, err := os.Stat(path)
		if err != nil || info.IsDir() || isTrue(s.Env["COMPOSE_DISABLE_ENV_FILE"]) {
			return
		}
		files = []string{path}
	}
	// Of the files the later one wins; of a name that the environment has, that.
	found := map[string]string{}
	for _, file := range files {
		if why := unreadable(file); why != "" {
			list.Add(problems.Pos{File: displayed(file)}, "", "%s", why)
			continue
		}
		known := maps.Clone(found)
		maps.Copy(known, s.Env)
		values, err := dotenv.GetEnvFromFile(known, []string{file})
		if err != nil {
			list.Add(problems.Pos{File: displayed(file)}, "", "%s", strings.TrimPrefix(err.Error(), "failed to read "+file+": "))
		}
		maps.Copy(found, values)
	}
	for k, v := range found {
		if _, set := s.Env[k]; !set {
			s.Env[k] = v
		}
	}
}

func isTrue(text string) bool {
	switch strings.ToLower(text) {
	case "1", "t", "true":
		return true
	}
	return false
}

// name is the stack's name by Compose's rules; empty when it is unusable.
func (s *Source) name(o Options, list *problems.List) string {
	explicit, where := o.Name, "-p"
	if explicit == "" {
		explicit, where = s.Env["COMPOSE_PROJECT_NAME"], "COMPOSE_PROJECT_NAME"
	}
	if explicit != "" {
		if loader.NormalizeProjectName(explicit) != explicit {
			list.Add(problems.Pos{File: s.Files[0].Name}, "lower case letters, digits, - and _, beginning with a letter or digit",
				"the stack's name %q, given by %s, is invalid", explicit, where)
			return ""
		}
		return explicit
	}
	for _, f := range slices.Backward(s.Files) {
		for _, doc := range slices.Backward(f.Docs) {
			_, node := trees.Get(doc, "name")
			if node == nil {
				continue
			}
			text, err := template.Substitute(trees.Resolve(node).Value, s.lookup)
			if err != nil {
				continue // reported, with everything else that cannot be interpolated
			}
			if name := loader.NormalizeProjectName(text); name != "" {
				if name != text {
					list.Warn(trees.At(f.Name, node), "lower case letters, digits, - and _, beginning with a letter or digit", "the stack's name %q is read as %q", text, name)
				}
				return name
			}
			list.Add(f.Place(trees.Resolve(node), ""), "name: my-stack, or -p NAME", "the stack's name is blank")
			s.Broken = true
		}
	}
	if name := loader.NormalizeProjectName(filepath.Base(s.Dir)); name != "" {
		return name
	}
	list.Add(problems.Pos{File: s.Files[0].Name}, "name: my-stack, or -p NAME", "the stack has no name, and none can be made of its folder's")
	return ""
}

func (s *Source) lookup(name string) (string, bool) {
	v, ok := s.Env[name]
	return v, ok
}
