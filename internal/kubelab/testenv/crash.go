package testenv

import (
	"context"
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// ErrCrashed is what every write returns once a Crash has crashed.
var ErrCrashed = errors.New("crashed")

// Crash is a client that counts writes and, after a number of them, behaves
// as the client of a process that died: no later write reaches the server.
type Crash struct {
	mu     sync.Mutex
	writes int
	// After is how many writes reach the server; negative is all of them.
	After int
	// LoseReply makes the last write that reaches the server look failed, as
	// if the process died between the server's commit and its reply.
	LoseReply bool
}

// Writes returns how many writes reached the server.
func (c *Crash) Writes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

// Crashed says whether the process would be dead.
func (c *Crash) Crashed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.After >= 0 && c.writes >= c.After
}

func (c *Crash) write(do func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.After >= 0 && c.writes >= c.After {
		return ErrCrashed
	}
	if err := do(); err != nil {
		return err
	}
	c.writes++
	if c.LoseReply && c.writes == c.After {
		return ErrCrashed
	}
	return nil
}

// Wrap returns inner with every write counted.
func (c *Crash) Wrap(inner client.WithWatch) client.WithWatch {
	return interceptor.NewClient(inner, interceptor.Funcs{
		Create: func(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return c.write(func() error { return w.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return c.write(func() error { return w.Delete(ctx, o, opts...) })
		},
		DeleteAllOf: func(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.DeleteAllOfOption) error {
			return c.write(func() error { return w.DeleteAllOf(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return c.write(func() error { return w.Update(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return c.write(func() error { return w.Patch(ctx, o, p, opts...) })
		},
		Apply: func(ctx context.Context, w client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return c.write(func() error { return w.Apply(ctx, o, opts...) })
		},
		SubResourceCreate: func(ctx context.Context, w client.Client, sub string, o, s client.Object, opts ...client.SubResourceCreateOption) error {
			return c.write(func() error { return w.SubResource(sub).Create(ctx, o, s, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, w client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return c.write(func() error { return w.SubResource(sub).Update(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, w client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return c.write(func() error { return w.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
		SubResourceApply: func(ctx context.Context, w client.Client, sub string, o runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			return c.write(func() error { return w.SubResource(sub).Apply(ctx, o, opts...) })
		},
	})
}
