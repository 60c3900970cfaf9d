package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	connracev1 "github.com/connrace/connrace/proto/connrace/v1"
)

// own returns the embedded descriptors of our contract.
func own(t *testing.T) []protoreflect.FileDescriptor {
	t.Helper()
	files, err := parseDescriptors()
	if err != nil {
		t.Fatal(err)
	}
	var all []protoreflect.FileDescriptor
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		all = append(all, f)
		return true
	})
	return all
}

// What reflection tells is what the server speaks.
func TestDescriptorsFitTheGeneratedCode(t *testing.T) {
	t.Parallel()
	embedded := map[string]bool{}
	for _, file := range own(t) {
		embedded[file.Path()] = true
		linked, err := protoregistry.GlobalFiles.FindFileByPath(file.Path())
		if err != nil {
			t.Errorf("%s is embedded and not linked in: %v", file.Path(), err)
			continue
		}
		got, want := bare(file), bare(linked)
		if !proto.Equal(got, want) {
			t.Errorf("%s: embedded is\n%s\nlinked in is\n%s\nrun make generate", file.Path(), prototext.Format(got), prototext.Format(want))
		}
	}
	pkg := connracev1.File_connrace_v1_racer_service_proto.Package()
	protoregistry.GlobalFiles.RangeFilesByPackage(pkg, func(f protoreflect.FileDescriptor) bool {
		if !embedded[f.Path()] {
			t.Errorf("%s is linked in and not embedded; run make generate", f.Path())
		}
		return true
	})
}

// bare is a file without its comments, which generated code does not have.
func bare(f protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	p := protodesc.ToFileDescriptorProto(f)
	p.SourceCodeInfo = nil
	return p
}

// Every comment stands in the contract's source, right above what it is about.
func TestDescriptorsFitTheSource(t *testing.T) {
	t.Parallel()
	for _, file := range own(t) {
		text, err := os.ReadFile(filepath.Join("..", "proto", filepath.FromSlash(file.Path())))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		comments := 0
		for i := range file.SourceLocations().Len() {
			location := file.SourceLocations().Get(i)
			if location.LeadingComments == "" {
				continue
			}
			comments++
			said := strings.Split(strings.TrimSuffix(location.LeadingComments, "\n"), "\n")
			above := lines[max(0, location.StartLine-len(said)):location.StartLine]
			for n, line := range above {
				if strings.TrimSpace(line) != "//"+said[n] {
					t.Errorf("%s:%d is %q, the embedded comment %q; run make generate", file.Path(), location.StartLine, line, said[n])
				}
			}
		}
		if comments == 0 {
			t.Errorf("%s has no comments", file.Path())
		}
	}
}
