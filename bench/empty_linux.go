package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/connrace/connrace/client"
	"github.com/connrace/connrace/racer"
)

const (
	// emptyMethod does nothing: what remains is what gRPC and the interceptors cost.
	emptyMethod = "/bench.Empty/Call"
	// emptyRaceMethod races and says nothing of it: what a Race RPC costs beyond that
	// is for its messages.
	emptyRaceMethod = "/bench.Empty/Race"
)

// empty answers with as many bytes as the first four of the request say.
type empty struct {
	reply   atomic.Pointer[wrapperspb.BytesValue] // the last one
	racer   *racer.Racer
	request racer.RaceRequest // of emptyRaceMethod
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
		Methods: []grpc.MethodDesc{
			{MethodName: "Call", Handler: emptyHandler(emptyMethod, func(context.Context) error { return nil })},
			{MethodName: "Race", Handler: emptyHandler(emptyRaceMethod, e.race)},
		},
	}, e)
}

// race is that of a Race RPC with the defaults.
func (e *empty) race(ctx context.Context) error {
	result, err := e.racer.Race(ctx, e.request)
	if err == nil && result.Winner == nil {
		err = fmt.Errorf("the race was not won: %v", result.End)
	}
	return err
}

// emptyHandler has the method do something before it answers.
func emptyHandler(method string, do func(context.Context) error) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		request := new(wrapperspb.BytesValue)
		if err := decode(request); err != nil {
			return nil, err
		}
		info := &grpc.UnaryServerInfo{Server: srv, FullMethod: method}
		return interceptor(ctx, request, info, func(ctx context.Context, _ any) (any, error) {
			if err := do(ctx); err != nil {
				return nil, err
			}
			return srv.(*empty).answer(request)
		})
	}
}

// askEmpty takes the sizes of the messages from a race.
func askEmpty(method, at string, targets []string) (call, error) {
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
		return conn.Invoke(ctx, method, request, new(wrapperspb.BytesValue))
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
