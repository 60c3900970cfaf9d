package main

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/connrace/connrace/client"
)

// emptyMethod does nothing: what remains is what gRPC and the interceptors cost.
const emptyMethod = "/bench.Empty/Call"

// empty answers with as many bytes as the first four of the request say.
type empty struct {
	reply atomic.Pointer[wrapperspb.BytesValue] // the last one
}

func (e *empty) answer(request *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	const most = 1 << 20
	if len(request.GetValue()) < 4 {
		return nil, errors.New("the request does not say how long the reply is to be")
	}
	n := int(min(most, binary.BigEndian.Uint32(request.GetValue())))
	reply := e.reply.Load()
	if reply == nil || len(reply.GetValue()) != n {
		reply = wrapperspb.Bytes(make([]byte, n))
		e.reply.Store(reply)
	}
	return reply, nil
}

// register adds the method to a server, where it has the same interceptors as all
// others.
func (e *empty) register(s grpc.ServiceRegistrar) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Empty",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Call", Handler: emptyHandler}},
	}, e)
}

func emptyHandler(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // the order is gRPC's
	request := new(wrapperspb.BytesValue)
	if err := decode(request); err != nil {
		return nil, err
	}
	info := &grpc.UnaryServerInfo{Server: srv, FullMethod: emptyMethod}
	return interceptor(ctx, request, info, func(context.Context, any) (any, error) {
		return srv.(*empty).answer(request)
	})
}

// askEmpty takes the sizes of the messages from a race.
func askEmpty(at string, targets []string) (call, error) {
	daemon, err := client.New(at)
	if err != nil {
		return nil, err
	}
	defer func() { _ = daemon.Close() }()
	race := raceRequest(targets)
	won, err := daemon.Race(context.Background(), race)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	request := wrapperspb.Bytes(make([]byte, payload(proto.Size(race))))
	binary.BigEndian.PutUint32(request.GetValue(), uint32(payload(proto.Size(won))))
	return func(ctx context.Context) error {
		return conn.Invoke(ctx, emptyMethod, request, new(wrapperspb.BytesValue))
	}, nil
}

// payload is how many bytes make a message of that size.
func payload(size int) int {
	n := max(4, size)
	for n > 4 && proto.Size(wrapperspb.Bytes(make([]byte, n))) > size {
		n--
	}
	return n
}
