package server

import (
	_ "embed"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// descriptors is our contract with its comments, which the generated Go code
// does not have. `make generate` writes it.
//
//go:embed descriptors.binpb
var descriptors []byte

// registerReflection lets grpcurl list and describe the services, comments
// included.
func registerReflection(s *grpc.Server) {
	options := reflection.ServerOptions{Services: s, DescriptorResolver: newCommented()}
	reflectionv1.RegisterServerReflectionServer(s, reflection.NewServerV1(options))
	reflectionv1alpha.RegisterServerReflectionServer(s, reflection.NewServer(options))
}

// commented finds descriptors in our own files first and then among all that are
// linked in.
type commented struct{ own *protoregistry.Files }

func newCommented() commented {
	own, err := parseDescriptors()
	if err != nil {
		panic(fmt.Sprintf("server: embedded descriptors: %v; run make generate", err))
	}
	return commented{own: own}
}

func parseDescriptors() (*protoregistry.Files, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(descriptors, &set); err != nil {
		return nil, err
	}
	own := new(protoregistry.Files)
	for _, f := range set.GetFile() { // buf writes what a file imports before it
		file, err := protodesc.NewFile(f, commented{own: own})
		if err != nil {
			return nil, err
		}
		if err := own.RegisterFile(file); err != nil {
			return nil, err
		}
	}
	return own, nil
}

func (c commented) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if file, err := c.own.FindFileByPath(path); err == nil {
		return file, nil
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

func (c commented) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := c.own.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}
