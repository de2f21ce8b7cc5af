// Package logs chooses whose logs to print, and prints them so that each line
// tells whose it is.
package logs

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/clarity-loop/clarity/api/label"
	"github.com/clarity-loop/clarity/api/v1alpha1"
	"github.com/clarity-loop/clarity/cmd/kubectl-clarity/internal/fault"
)

// A Source is one container's log.
type Source struct {
	Label     string // whose it is, for a person
	Pod       string
	Container string
}

// fetch chooses the container that fetches a server's bundle; the other words are
// components.
const fetch = "fetch"

// Components are the words that choose a version's logs.
func Components() []string { return []string{label.Verify, fetch, label.Server, label.Validate} }

// OfVersion chooses among a version's pods by component, or by its stage where none is named.
func OfVersion(v *v1alpha1.ModelVersion, pods []corev1.Pod, component string) ([]Source, error) {
	switch {
	case component == "":
		component = componentOf(v.Status.Stage)
	case !slices.Contains(Components(), component):
		return nil, fault.New(fault.Usage, "", "--component %s is none: %s", component, strings.Join(Components(), ", "))
	}
	of := component
	if component == fetch {
		of = label.Server
	}
	var sources []Source
	for i := range pods {
		if pods[i].Labels[label.Component] == of && len(pods[i].Spec.Containers) > 0 {
			sources = append(sources, Source{pods[i].Name, pods[i].Name, containerOf(&pods[i], component)})
		}
	}
	if len(sources) == 0 {
		return nil, fault.New(fault.CouldNot, fmt.Sprintf("kubectl clarity why mv/%s -n %s --facts", v.Name, v.Namespace),
			"modelversion/%s (%s) has no pod of component %s now, so there is no log", v.Name, v.Status.Stage, component)
	}
	return sources, nil
}

func componentOf(stage v1alpha1.Stage) string {
	switch stage {
	case v1alpha1.StagePending, v1alpha1.StageVerifying:
		return label.Verify
	case v1alpha1.StageValidating:
		return label.Validate
	default:
		return label.Server
	}
}

// containerOf is the init container while the server has not started, or where it is asked for.
func containerOf(pod *corev1.Pod, component string) string {
	if component == fetch && len(pod.Spec.InitContainers) > 0 {
		return pod.Spec.InitContainers[0].Name
	}
	if component == label.Server {
		for _, c := range pod.Status.InitContainerStatuses {
			if c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 {
				return c.Name
			}
		}
	}
	return pod.Spec.Containers[0].Name
}

// OfShards chooses the newest attempt of each shard: failed ones first, then running ones, by number.
func OfShards(pods []corev1.Pod) []Source {
	newest := map[int]*corev1.Pod{}
	for i := range pods {
		n, err := strconv.Atoi(pods[i].Annotations[batchv1.JobCompletionIndexAnnotation])
		if err != nil || len(pods[i].Spec.Containers) == 0 {
			continue // not a pod of the Job controller
		}
		if was := newest[n]; was == nil || was.CreationTimestamp.Before(&pods[i].CreationTimestamp) {
			newest[n] = &pods[i]
		}
	}
	shards := make([]int, 0, len(newest))
	for n := range newest {
		shards = append(shards, n)
	}
	slices.SortFunc(shards, func(a, b int) int {
		return cmp.Or(cmp.Compare(rank(newest[a]), rank(newest[b])), cmp.Compare(a, b))
	})
	sources := make([]Source, len(shards))
	for i, n := range shards {
		sources[i] = Source{fmt.Sprintf("shard %d", n), newest[n].Name, newest[n].Spec.Containers[0].Name}
	}
	return sources
}

func rank(pod *corev1.Pod) int {
	switch pod.Status.Phase {
	case corev1.PodFailed:
		return 0
	case corev1.PodRunning:
		return 1
	case corev1.PodPending:
		return 2
	default:
		return 3
	}
}

// Print prints the sources one after the other, or all at once where they are
// followed. One source's failure is told and does not stop the others; where
// all fail, the first failure is the error.
func Print(ctx context.Context, out, errOut io.Writer, sources []Source, follow bool, open func(context.Context, Source) (io.ReadCloser, error)) error {
	if len(sources) == 1 {
		return copyAll(ctx, out, sources[0], open)
	}
	w := &lines{out: out}
	errs := make([]error, len(sources))
	var all sync.WaitGroup
	for i, s := range sources {
		one := func() { errs[i] = copyLines(ctx, w, s, open) }
		if !follow {
			one()
			continue
		}
		all.Go(one)
	}
	all.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	failed := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	if len(failed) == len(sources) {
		return failed[0]
	}
	for i, err := range errs {
		if err != nil {
			_, _ = fmt.Fprintf(errOut, "%s: %v\n", sources[i].Label, err)
		}
	}
	return nil
}

func copyAll(ctx context.Context, out io.Writer, s Source, open func(context.Context, Source) (io.ReadCloser, error)) error {
	stream, err := open(ctx, s)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, stream)
	return tell(ctx, s, errors.Join(err, stream.Close()))
}

func copyLines(ctx context.Context, w *lines, s Source, open func(context.Context, Source) (io.ReadCloser, error)) error {
	stream, err := open(ctx, s)
	if err != nil {
		return err
	}
	r := bufio.NewReader(stream)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			if err := w.write(s.Label + " | " + strings.TrimSuffix(line, "\n") + "\n"); err != nil {
				_ = stream.Close() // the write's error is the one to tell
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return tell(ctx, s, stream.Close())
		}
		if err != nil {
			_ = stream.Close() // the read's error is the one to tell
			return tell(ctx, s, err)
		}
	}
}

func tell(ctx context.Context, s Source, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("read log of pod %q: %w", s.Pod, err)
}

// lines keeps lines of different logs whole.
type lines struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *lines) write(line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := io.WriteString(l.out, line)
	return err
}
