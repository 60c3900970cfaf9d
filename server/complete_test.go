package server

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// What a test compares must have every field, or a field that was forgotten on its way
// is forgotten in the test too.

// complete wants every field of the messages' type set in one of them at least, and so
// in the messages of this package that are in them. Fields that are named here are
// left out.
func complete(t *testing.T, messages []proto.Message, but ...protoreflect.Name) {
	t.Helper()
	var all []protoreflect.Message
	for _, m := range messages {
		all = append(all, m.ProtoReflect())
	}
	completed(t, all, but)
}

func completed(t *testing.T, all []protoreflect.Message, but []protoreflect.Name) {
	t.Helper()
	fields := all[0].Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		var inner []protoreflect.Message
		set := false
		for _, m := range all {
			if !m.Has(f) {
				continue
			}
			set = true
			switch {
			case f.Message() == nil:
			case f.IsList():
				for j := range m.Get(f).List().Len() {
					inner = append(inner, m.Get(f).List().Get(j).Message())
				}
			default:
				inner = append(inner, m.Get(f).Message())
			}
		}
		if set == slices.Contains(but, f.Name()) {
			t.Errorf("%s is set: %v", f.FullName(), set)
		}
		if len(inner) > 0 && f.Message().ParentFile().Package() == all[0].Descriptor().ParentFile().Package() {
			completed(t, inner, but)
		}
	}
}

// filled wants every field of the structs set in one of them at least, and so in the
// structs in them that are of this module. A bool that is false, as any zero value,
// counts as not set.
func filled[T any](t *testing.T, values ...T) {
	t.Helper()
	all := make([]reflect.Value, len(values))
	for i, v := range values {
		all[i] = reflect.ValueOf(v)
	}
	fill(t, all)
}

func fill(t *testing.T, all []reflect.Value) {
	t.Helper()
	typ := all[0].Type()
	for i := range typ.NumField() {
		f := typ.Field(i)
		var inner []reflect.Value
		set := false
		for _, v := range all {
			set = set || !v.Field(i).IsZero()
			inner = append(inner, structs(v.Field(i))...)
		}
		if !set {
			t.Errorf("%s.%s is not set in the test", typ, f.Name)
		}
		if len(inner) > 0 {
			fill(t, inner)
		}
	}
}

// structs are those of this module in a value.
func structs(v reflect.Value) []reflect.Value {
	const module = "github.com/connrace/connrace/"
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return structs(v.Elem())
		}
	case reflect.Slice:
		var all []reflect.Value
		for i := range v.Len() {
			all = append(all, structs(v.Index(i))...)
		}
		return all
	case reflect.Struct:
		if strings.HasPrefix(v.Type().PkgPath(), module) {
			return []reflect.Value{v}
		}
	}
	return nil
}
