package plan

import (
	"bytes"
	"reflect"
	"strings"

	"github.com/stagehand-dev/stagehand/stages"
)

// Values are what steps handed on with ::set, by variable and app; the app is
// "" for a stage without apps.
type Values map[string]map[string]string

// Variable is the name under which later stages read a key: STAGE_KEY.
func Variable(stage, key string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(stage + "_" + key))
}

// Set keeps what one step handed on.
func (v Values) Set(stage, app string, pairs map[string]string) {
	for key, value := range pairs {
		name := Variable(stage, key)
		if v[name] == nil {
			v[name] = map[string]string{}
		}
		v[name][app] = value
	}
}

// get finds the value for a step of app: its own app's first.
func (v Values) get(name, app string) (string, bool) {
	if value, ok := v[name][app]; ok {
		return value, true
	}
	value, ok := v[name][""]
	return value, ok
}

// Resolve returns a copy of x in whose strings the marks of handed-on values
// are replaced, and the names of those that are not known. x itself is not
// changed. Without marks it is x.
func Resolve[T any](x T, values Values, app string) (T, []string) {
	v := reflect.ValueOf(&x).Elem()
	if !marked(v) { // nearly all are not, and a copy of each is what a large plan would mostly cost
		return x, nil
	}
	r := resolver{values: values, app: app}
	return r.copy(v).Interface().(T), r.missing
}

// marked tells whether there is a mark in any of the strings that copy looks at.
func marked(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return strings.Contains(v.String(), stages.HandedOpen)
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && marked(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && marked(v.Field(i)) {
				return true
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return bytes.Contains(v.Bytes(), []byte(stages.HandedOpen))
		}
		for i := range v.Len() {
			if marked(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if marked(it.Key()) || marked(it.Value()) {
				return true
			}
		}
	}
	return false
}

type resolver struct {
	values  Values
	app     string
	missing []string
}

// copy walks exported fields, slices, maps and pointers. Fields that are not
// exported (a compiled regular expression's) are carried as they are.
func (r *resolver) copy(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		if !strings.Contains(v.String(), stages.HandedOpen) {
			return v
		}
		out := reflect.New(v.Type()).Elem()
		out.SetString(r.replace(v.String()))
		return out
	case reflect.Pointer:
		if v.IsNil() || opaque(v.Type().Elem()) {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(r.copy(v.Elem()))
		return out
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type()).Elem()
		out.Set(r.copy(v.Elem()))
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(r.copy(v.Field(i)))
			}
		}
		return out
	case reflect.Slice:
		return r.copySlice(v)
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(r.copy(it.Key()), r.copy(it.Value()))
		}
		return out
	default:
		return v
	}
}

// opaque types have no exported fields: nothing of them can be marked.
func opaque(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if t.Field(i).IsExported() {
			return false
		}
	}
	return true
}

func (r *resolver) copySlice(v reflect.Value) reflect.Value {
	if v.IsNil() {
		return v
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		if text := string(v.Bytes()); strings.Contains(text, stages.HandedOpen) {
			return reflect.ValueOf([]byte(r.replace(text))).Convert(v.Type())
		}
		return v
	}
	out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	for i := range v.Len() {
		out.Index(i).Set(r.copy(v.Index(i)))
	}
	return out
}

func (r *resolver) replace(text string) string {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, stages.HandedOpen)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, ok := strings.Cut(rest, stages.HandedClose)
		if !ok {
			b.WriteString(stages.HandedOpen + rest)
			return b.String()
		}
		value, known := r.values.get(name, r.app)
		if !known {
			r.missing = append(r.missing, name)
			value = stages.HandedOpen + name + stages.HandedClose
		}
		b.WriteString(value)
		text = after
	}
}
