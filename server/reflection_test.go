package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/connrace/connrace/internal/netlab"
)

const racerService = "connrace.v1.RacerService"

// reflector asks as grpcurl does. Both versions of the protocol have the same
// messages on the wire.
type reflector struct{ grpc.ClientStream }

func reflect(t *testing.T, conn *grpc.ClientConn, version string) reflector {
	t.Helper()
	path := fmt.Sprintf("/grpc.reflection.%s.ServerReflection/ServerReflectionInfo", version)
	stream, err := conn.NewStream(patient(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, path)
	must(t, err)
	return reflector{stream}
}

func (r reflector) ask(t *testing.T, req *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
	t.Helper()
	must(t, r.SendMsg(req))
	var reply reflectionv1.ServerReflectionResponse
	must(t, r.RecvMsg(&reply))
	return &reply
}

// file returns the file of a symbol and what it imports.
func (r reflector) file(t *testing.T, symbol string) []*descriptorpb.FileDescriptorProto {
	t.Helper()
	return files(t, r.ask(t, &reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol},
	}))
}

func files(t *testing.T, reply *reflectionv1.ServerReflectionResponse) []*descriptorpb.FileDescriptorProto {
	t.Helper()
	var files []*descriptorpb.FileDescriptorProto
	for _, raw := range reply.GetFileDescriptorResponse().GetFileDescriptorProto() {
		var file descriptorpb.FileDescriptorProto
		must(t, proto.Unmarshal(raw, &file))
		files = append(files, &file)
	}
	if len(files) == 0 {
		t.Fatalf("no files in %v", reply)
	}
	return files
}

// Clients older than v1 of the protocol are served too.
var versions = []string{"v1", "v1alpha"}

func TestReflectionLists(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	want := []string{
		"connrace.v1.RacerService", "grpc.health.v1.Health",
		"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
	}
	for _, version := range versions {
		reply := reflect(t, d.conn, version).ask(t, &reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
		})
		var got []string
		for _, s := range reply.GetListServicesResponse().GetService() {
			got = append(got, s.GetName())
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the services are %v, want %v", version, got, want)
		}
	}
}

// grpcurl describe shows the contract's comments.
func TestReflectionHasComments(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for _, version := range versions {
		r := reflect(t, d.conn, version)
		for symbol, want := range map[string]string{
			racerService:                            "which one do I use, and why?",
			racerService + ".Race":                  "Race opens connections until one succeeds",
			"connrace.v1.RaceRequest.target":        "such as \"example.com:443\"",
			"connrace.v1.RaceOptions.attempt_delay": "Connection Attempt Delay",
			"connrace.v1.RaceOptions.grace":         "attempts that have lost may go on",
			"connrace.v1.STRATEGY_ADAPTIVE":         "RFC 6298",
			"connrace.v1.Verdict":                   "Verdict sums a probe up",
		} {
			if got := comment(t, r.file(t, symbol)[0], symbol); !strings.Contains(got, want) {
				t.Errorf("%s: the comment of %s is %q, want it to say %q", version, symbol, got, want)
			}
		}
	}
}

// A file that is asked for by its path has its comments too, and so has each
// that comes along because it is imported.
func TestReflectionHasCommentsInEveryFile(t *testing.T) {
	t.Parallel()
	d := serve(t, plain())
	for _, version := range versions {
		reply := reflect(t, d.conn, version).ask(t, &reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_FileByFilename{FileByFilename: "connrace/v1/racer_service.proto"},
		})
		own := 0
		for _, file := range files(t, reply) {
			if file.GetPackage() != "connrace.v1" {
				continue
			}
			if own++; len(file.GetSourceCodeInfo().GetLocation()) == 0 {
				t.Errorf("%s: %s has no source_code_info", version, file.GetName())
			}
		}
		if own != 5 {
			t.Errorf("%s: %d files of ours, want 5", version, own)
		}
	}
}

// Nothing of the contract is described without a word.
func TestReflectionLeavesNothingOut(t *testing.T) {
	t.Parallel()
	r := reflect(t, serve(t, plain()).conn, "v1")
	described := 0
	for _, file := range r.file(t, racerService) {
		if file.GetPackage() != "connrace.v1" {
			continue
		}
		for _, symbol := range symbols(file) {
			if comment(t, file, symbol) == "" {
				t.Errorf("%s has no comment", symbol)
			}
			described++
		}
	}
	if described < 200 {
		t.Errorf("%d messages, fields, enums and values; want them all", described)
	}
}

// symbols are the full names of a file's messages, fields, enums and values.
func symbols(file *descriptorpb.FileDescriptorProto) []string {
	var all []string
	for _, m := range file.GetMessageType() {
		name := file.GetPackage() + "." + m.GetName()
		all = append(all, name)
		for _, f := range m.GetField() {
			all = append(all, name+"."+f.GetName())
		}
	}
	for _, e := range file.GetEnumType() {
		all = append(all, file.GetPackage()+"."+e.GetName())
		for _, v := range e.GetValue() { // a sibling of its enum
			all = append(all, file.GetPackage()+"."+v.GetName())
		}
	}
	return all
}

// comment returns what stands above a symbol in its file.
func comment(t *testing.T, file *descriptorpb.FileDescriptorProto, symbol string) string {
	t.Helper()
	if len(file.GetSourceCodeInfo().GetLocation()) == 0 {
		t.Fatalf("%s has no source_code_info", file.GetName())
	}
	// What it imports does not matter: it has no comments of its own.
	parsed, err := protodesc.FileOptions{AllowUnresolvable: true}.New(file, protoregistry.GlobalFiles)
	must(t, err)
	var files protoregistry.Files
	must(t, files.RegisterFile(parsed))
	found, err := files.FindDescriptorByName(protoreflect.FullName(symbol))
	must(t, err)
	return parsed.SourceLocations().ByDescriptor(found).LeadingComments
}

// Everything a file imports can be had, and a caller that knows the contract
// from reflection alone can make every call with nothing but a target.
func TestReflectionIsEnough(t *testing.T) {
	t.Parallel()
	d, good := serve(t, plain()), host(t, netlab.Accept).Addr()
	var set descriptorpb.FileDescriptorSet
	set.File = reflect(t, d.conn, "v1").file(t, racerService)
	files, err := protodesc.NewFiles(&set)
	must(t, err)
	found, err := files.FindDescriptorByName(racerService)
	must(t, err)
	methods := found.(protoreflect.ServiceDescriptor).Methods()
	if methods.Len() != 4 {
		t.Errorf("%d methods, want 4", methods.Len())
	}
	for i := range methods.Len() {
		reply := invoke(t, d.conn, methods.Get(i), fmt.Sprintf(`{"target":%q}`, good))
		if text := protojson.Format(reply); !strings.Contains(text, good.String()) {
			t.Errorf("%s answers %s, which does not name %v", methods.Get(i).Name(), text, good)
		}
	}
}

// invoke makes one call with a request in JSON and returns the first reply.
func invoke(t *testing.T, conn *grpc.ClientConn, method protoreflect.MethodDescriptor, request string) proto.Message {
	t.Helper()
	req, reply := dynamicpb.NewMessage(method.Input()), dynamicpb.NewMessage(method.Output())
	must(t, protojson.Unmarshal([]byte(request), req))
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	path := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: method.IsStreamingServer()}, path)
	must(t, err)
	must(t, stream.SendMsg(req))
	must(t, stream.CloseSend())
	must(t, stream.RecvMsg(reply))
	return reply
}
