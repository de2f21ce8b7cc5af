// Package probe asks a version's servers whether the model is ready, and reads from their
// pods why they are not.
package probe

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/controllers/modelversion/serving"
)

// Readiness asks one server whether the model is ready.
type Readiness interface {
	// Ready says whether the pod's Triton serves the model. An error is a
	// server that did not answer, which is as good as no to a version that has
	// yet to be available, and to one that is only if it goes on.
	Ready(ctx context.Context, pod *corev1.Pod, model string) (bool, error)
}

// HTTP asks Triton itself, at the pod's address.
type HTTP struct{ client http.Client }

// NewHTTP returns a probe that waits for an answer no longer than timeout.
func NewHTTP(timeout time.Duration) *HTTP {
	return &HTTP{http.Client{
		Timeout:       timeout,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}, // no proxy: pods are near
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Ready is true where Triton answers 200.
func (p *HTTP) Ready(ctx context.Context, pod *corev1.Pod, model string) (bool, error) {
	url := "http://" + net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(serving.HTTPPort)) + serving.ReadyPath(model)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, fmt.Errorf("ask pod %q whether it is ready: %w", pod.Name, err)
	}
	response, err := p.client.Do(request)
	if err != nil {
		return false, fmt.Errorf("ask pod %q whether it is ready: %w", pod.Name, err)
	}
	defer func() { _ = response.Body.Close() }()                    // it was read
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4096)) // so that the connection can be used again
	return response.StatusCode == http.StatusOK, nil
}
