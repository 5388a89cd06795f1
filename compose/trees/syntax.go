package trees

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	yaml4 "go.yaml.in/yaml/v4"

	"github.com/stagehand-dev/stagehand/problems"
)

// Syntax reports what a YAML library could not parse. err is version 3's or
// version 4's error; version 4 knows the place better, so it is asked for its opinion.
func Syntax(file string, text []byte, err error, list *problems.List) {
	lines := strings.Split(string(text), "\n")
	place, message, ok := marked(err)
	if !ok {
		place, message, ok = marked(parse4(text))
	}
	if !ok {
		place, message = said(err)
	}
	place.File = file
	place.Line = min(place.Line, len(lines))
	if place.Line < 1 {
		list.Add(problems.Pos{File: file}, "", "YAML: %s", message)
		return
	}
	line := lines[place.Line-1]
	if tab := strings.IndexByte(line, '\t'); tab >= 0 && strings.TrimSpace(line[:tab]) == "" {
		list.Add(problems.Pos{File: file, Line: place.Line, Col: tab + 1}, "indent with spaces", "YAML: a tab stands where only spaces may")
		return
	}
	if place.Col > len([]rune(line))+1 {
		place.Col = len([]rune(line)) + 1
	}
	list.Add(place, "", "YAML: %s", message)
}

// parse4 is what version 4 says of the text; nil when it can read it.
func parse4(text []byte) error {
	decoder := yaml4.NewDecoder(bytes.NewReader(text))
	for {
		var doc yaml4.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// marked reads the place out of version 4's error, whose type is internal to
// it but whose fields are not. Its parser counts lines from 0, its scanner
// and its composer from 1; the composer, whose error is a pointer, counts
// columns from 1 too.
func marked(err error) (problems.Pos, string, bool) {
	v := reflect.ValueOf(err)
	composer := v.Kind() == reflect.Pointer
	v = reflect.Indirect(v)
	if !v.IsValid() || v.Kind() != reflect.Struct {
		return problems.Pos{}, "", false
	}
	mark, message := v.FieldByName("Mark"), v.FieldByName("Message")
	if !mark.IsValid() || mark.Kind() != reflect.Struct || message.Kind() != reflect.String {
		return problems.Pos{}, "", false
	}
	line, column := mark.FieldByName("Line"), mark.FieldByName("Column")
	if !line.CanInt() || !column.CanInt() {
		return problems.Pos{}, "", false
	}
	pos := problems.Pos{Line: int(line.Int()), Col: int(column.Int())}
	first := 0
	if !composer {
		pos.Col++
		if v.Type().Name() == "ParserError" {
			first = 1
		}
	}
	pos.Line += first
	text := message.String()
	if context := v.FieldByName("ContextMessage"); context.Kind() == reflect.String && context.String() != "" {
		text += ", " + context.String()
		if from := v.FieldByName("ContextMark").FieldByName("Line"); from.CanInt() && int(from.Int())+first > 0 && int(from.Int())+first != pos.Line {
			text += fmt.Sprintf(" that begins in line %d", int(from.Int())+first)
		}
	}
	return pos, text, true
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?([\s\S]*)$`)

// said reads the line out of an error's text.
func said(err error) (problems.Pos, string) {
	m := yamlLine.FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(m[1])
	return problems.Pos{Line: line, Col: min(line, 1)}, m[2]
}
