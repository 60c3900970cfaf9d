package server

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/racer/addrsel"
	"github.com/connrace/connrace/racer/sched"
)

// Every value of the library has a word of the wire, no two have the same, and
// no word of the wire is without a value.
func TestEnums(t *testing.T) {
	t.Parallel()
	speaks(t, families, named(addrsel.FamilyAny))
	speaks(t, strategies, named(sched.Staggered))
	speaks(t, versions, named(sched.V3))
	speaks(t, origins, declared(t, racer.OriginLiteral))
	speaks(t, recordTypes, named(sched.A))
	speaks(t, outcomes, named(sched.OutcomeNotStarted))
	speaks(t, skipReasons, named(sched.SkipNone))
	speaks(t, rankReasons, named(addrsel.ReasonLast))
	speaks(t, triggers, named(sched.TriggerFirst))
	speaks(t, bases, named(sched.BasisNone))
	speaks(t, causes, named(sched.CauseNone))
	speaks(t, faults, named(sched.FaultUnknown))
	speaks(t, verdicts, declared(t, racer.Inconclusive))

	// No result has EndNone, and nobody reads one with EndCallerLeft.
	ends := named(sched.EndNone)
	for _, silent := range []sched.EndReason{sched.EndNone, sched.EndCallerLeft} {
		ends = slices.DeleteFunc(ends, func(e sched.EndReason) bool { return e == silent })
	}
	speaks(t, endReasons, ends)

	// A query without an answer has no value in the library.
	speaks(t, queryOutcomes, named(sched.Positive), connracev1.QueryOutcome_QUERY_OUTCOME_PENDING)

	speaks(t, phaseKinds, named(sched.PhaseTCP))
	speaks(t, deferReasons, named(sched.DeferNone))

	// Events and actions share the words.
	speaks(t, eventKinds, named(sched.Resolved), spoken(actionKinds)...)
	speaks(t, actionKinds, named(sched.Query), spoken(eventKinds)...)
}

// wireEnum is an enum of generated code.
type wireEnum interface {
	comparable
	protoreflect.Enum
}

// speaks checks one map: its keys are all values of the library, and its values
// all words of the wire but UNSPECIFIED and the ones another place writes.
func speaks[L ~uint8, W wireEnum](t *testing.T, words map[L]W, all []L, elsewhere ...W) {
	t.Helper()
	said := map[W]bool{}
	for _, l := range all {
		w, ok := words[l]
		if !ok {
			t.Errorf("%T %v has no word", l, l)
			continue
		}
		if said[w] {
			t.Errorf("%T %v shares the word %v", l, l, w)
		}
		said[w] = true
	}
	if len(all) == 0 || len(words) != len(all) {
		t.Errorf("%d words for %d values of %T", len(words), len(all), *new(L))
	}
	for _, w := range elsewhere {
		if said[w] {
			t.Errorf("%v is also written elsewhere", w)
		}
		said[w] = true
	}
	var zero W
	values := zero.Descriptor().Values()
	for i := range values.Len() {
		number := values.Get(i).Number()
		if w := zero.Type().New(number).(W); number != 0 && !said[w] {
			t.Errorf("no value becomes %v", w)
		}
	}
}

// spoken lists the words of a map.
func spoken[L ~uint8, W wireEnum](words map[L]W) []W {
	return slices.Collect(maps.Values(words))
}

// named lists the values from first on, until one has no name.
func named[L interface {
	~uint8
	fmt.Stringer
}](first L,
) []L {
	var all []L
	for l := first; l.String() != "?"; l++ {
		all = append(all, l)
	}
	return all
}

// declared lists the values of an enum of package racer that has no names:
// as many as its declaration has, from first on.
func declared[L ~uint8](t *testing.T, first L) []L {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "racer", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all []L
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			for range constants(decl, fmt.Sprintf("%T", first)) {
				all = append(all, first+L(len(all)))
			}
		}
	}
	return all
}

// constants returns how many values a declaration gives the type, whose name is
// qualified.
func constants(decl ast.Decl, typ string) int {
	g, ok := decl.(*ast.GenDecl)
	if !ok || g.Tok != token.CONST || len(g.Specs) == 0 {
		return 0
	}
	ident, ok := g.Specs[0].(*ast.ValueSpec).Type.(*ast.Ident)
	if !ok || "racer."+ident.Name != typ {
		return 0
	}
	return len(g.Specs)
}
