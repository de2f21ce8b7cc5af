package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/api/label"
)

// SimulatedJob ends every Job's pod well, after took: what is verified is
// verified, what is validated passes, and a shard has computed its subjects.
func SimulatedJob(took time.Duration) func(context.Context, *corev1.Pod) End {
	messages := map[string]string{
		label.Verify:   `{"verified":true}`,
		label.Validate: `{"cases":32,"passed":32,"maxError":"1.2e-06"}`,
		label.Shard:    `{"subjects":500,"succeeded":497,"skipped":2,"failed":1,"reasons":{"NoData":1}}`,
	}
	return func(ctx context.Context, pod *corev1.Pod) End {
		select {
		case <-ctx.Done():
			return End{ExitCode: 143}
		case <-time.After(took):
		}
		return End{Message: messages[pod.Labels[label.Component]]}
	}
}

// SimulatedServer answers on the pod's address what Triton's health does: that
// everything asked for is there.
func SimulatedServer(ctx context.Context, pod *corev1.Pod) error {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", net.JoinHostPort(pod.Status.PodIP, "8000"))
	if err != nil {
		return fmt.Errorf("listen for pod %q: %w", pod.Name, err)
	}
	mux := http.NewServeMux()
	yes := func(http.ResponseWriter, *http.Request) {}
	mux.HandleFunc("GET /v2/health/live", yes)
	mux.HandleFunc("GET /v2/health/ready", yes)
	mux.HandleFunc("GET /v2/models/{model}/versions/1/ready", yes)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	stop := context.AfterFunc(ctx, func() { _ = web.Close() })
	defer stop()
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve for pod %q: %w", pod.Name, err)
	}
	return nil
}
