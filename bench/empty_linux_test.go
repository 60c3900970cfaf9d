package main

import (
	"encoding/binary"
	"log/slog"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/connrace/connrace/racer"
	"github.com/connrace/connrace/server"
)

// Messages are as long as those of a race, to the byte where that is possible.
func TestPayload(t *testing.T) {
	for _, size := range []int{0, 4, 6, 100, 127, 128, 129, 130, 131, 1000, 20_000} {
		got := proto.Size(wrapperspb.Bytes(make([]byte, payload(size))))
		want := max(size, 6)                               // four bytes say how long the reply is to be
		if got != want && (got != want-1 || want != 130) { // no payload makes 130 bytes
			t.Errorf("for %d bytes the message has %d", size, got)
		}
	}
}

func TestEmptyAnswer(t *testing.T) {
	e := new(empty)
	for _, n := range []uint32{0, 700, 700, 20} {
		reply, err := e.answer(wrapperspb.Bytes(binary.BigEndian.AppendUint32(nil, n)))
		if err != nil || len(reply.GetValue()) != int(n) {
			t.Errorf("for %d there are %d bytes, %v", n, len(reply.GetValue()), err)
		}
	}
	if _, err := e.answer(wrapperspb.Bytes(nil)); err == nil {
		t.Error("nothing is an answer to nothing")
	}
}

// The server's interceptors log the calls of the method.
func TestEmptyHasTheInterceptors(t *testing.T) {
	var log strings.Builder
	s := server.New(server.Config{
		Racer: racer.New(racer.Config{}), Logger: slog.New(slog.NewTextHandler(&log, nil)), Register: new(empty).register,
	})
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	reply := new(wrapperspb.BytesValue)
	err = conn.Invoke(t.Context(), emptyMethod, wrapperspb.Bytes([]byte{0, 0, 1, 2}), reply)
	if err != nil || len(reply.GetValue()) != 0x102 {
		t.Errorf("the reply has %d bytes, %v", len(reply.GetValue()), err)
	}
	_ = conn.Close()
	s.Shutdown(t.Context())
	if err := <-served; err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "bench.Empty") {
		t.Errorf("the log has %q", log.String())
	}
}
