package server

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/connrace/connrace/racer"
)

// A request of a few bytes a field must not cost the daemon more than it costs
// the sender: what is said of a thousand wrong fields is put together in one go.
// Not parallel: the allocations of other tests would count.
func TestRefusalCostsLittle(t *testing.T) {
	invalid := &racer.RequestError{}
	for i := range 2 * racer.MaxCandidates {
		invalid.Fields = append(invalid.Fields, racer.FieldError{
			Field: fmt.Sprintf("candidates[%d].endpoint", i), Message: "is empty; write a name or an address and a port",
		})
	}
	var err error
	allocations := testing.AllocsPerRun(1, func() { err = toStatus(invalid) })
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("the status is %v", err)
	}
	if most := 10 * float64(len(invalid.Fields)); allocations > most {
		t.Errorf("%d fields take %v allocations, want %v at most", len(invalid.Fields), allocations, most)
	}
}
