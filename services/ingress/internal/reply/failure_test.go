package reply_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
)

// A backend's fault is logged by room, operation and class, and never the person.
func TestABackendsFaultIsLogged(t *testing.T) {
	var log bytes.Buffer
	ctx := reply.WithSubject(t.Context(), identity.Subject{UID: faulttest.Mark})
	err := fmt.Errorf("keep upload of %s: %w", faulttest.Mark, fault.Wrap("blob", "put", syscall.ENOSPC))
	p := reply.Failures{Log: slog.New(slog.NewTextHandler(&log, nil))}.Problem(ctx, err)
	if p.Code != problem.New(problem.Unavailable, "").Code {
		t.Errorf("the client is told %+v", p)
	}
	if line := log.String(); !strings.Contains(line, `room=blob op=put class=limit code="no space"`) || strings.Contains(line, faulttest.Mark) {
		t.Errorf("logged %s", line)
	}
}
