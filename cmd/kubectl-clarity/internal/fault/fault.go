// Package fault is the plugin's one vocabulary of what can go wrong: what was
// being done, where, and the command to type next.
package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// A Code is what the process exits with.
type Code int

// The exit codes.
const (
	Done       Code = 0 // what was asked for is done or shown
	CouldNot   Code = 1 // the cluster, or an object's state, does not let it be done
	Usage      Code = 2 // the command line asks for what cannot be
	NotFound   Code = 3 // no such object, or the cluster has not the kind
	NotAllowed Code = 4 // the credentials are refused or lack a right
	Changed    Code = 5 // the object changed meanwhile, or the question was answered with no
)

// An Error says what went wrong, and what to type next.
type Error struct {
	Code  Code
	What  string
	Next  string // a command, or ""
	Cause error  // what it was made of, or nil
}

// Error is what went wrong, without what to type next.
func (e *Error) Error() string { return e.What }

// Unwrap returns what the error was made of.
func (e *Error) Unwrap() error { return e.Cause }

// New returns an Error.
func New(code Code, next, format string, args ...any) *Error {
	return &Error{Code: code, Next: next, What: fmt.Sprintf(format, args...)}
}

// A Place is where something was being done, for errors.
type Place struct {
	Host      string // the API server
	Namespace string
	Verb      string // get, list, patch, create
	Resource  string // modelversions, pods, …
	Name      string // "" for a list
}

// Of turns what a client returned into an Error. An Error stays what it is.
func Of(err error, at Place) error {
	var known *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	}
	e := &Error{Code: CouldNot, Cause: err}
	thing := at.Resource
	if at.Name != "" {
		thing = fmt.Sprintf("%s %q", at.Resource, at.Name)
	}
	switch {
	case apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse):
		e.Code = NotFound
		e.What = fmt.Sprintf("%s %s: the API server at %s does not serve this kind: Clarity Loop is not installed there, or the kubeconfig's context is another cluster's", at.Verb, thing, at.Host)
		e.Next = "kubectl config current-context && kubectl get crds | grep clarityloop.dev"
	case apierrors.IsNotFound(err):
		e.Code = NotFound
		e.What = fmt.Sprintf("%s %s: there is none in namespace %q", at.Verb, thing, at.Namespace)
		e.Next = fmt.Sprintf("kubectl get %s --all-namespaces", at.Resource)
	case apierrors.IsForbidden(err):
		e.Code = NotAllowed
		e.What = fmt.Sprintf("%s %s: not allowed in namespace %q; a platform engineer can bind a role that allows it: %v", at.Verb, thing, at.Namespace, err)
		e.Next = fmt.Sprintf("kubectl auth can-i %s %s -n %s", at.Verb, at.Resource, at.Namespace)
	case apierrors.IsUnauthorized(err):
		e.Code = NotAllowed
		e.What = fmt.Sprintf("%s %s: the API server at %s refuses the kubeconfig's credentials", at.Verb, thing, at.Host)
		e.Next = "kubectl config view --minify"
	case apierrors.IsConflict(err):
		e.Code = Changed
		e.What = fmt.Sprintf("%s %s: it changed meanwhile, nothing was written: %v", at.Verb, thing, err)
	case unreachable(err):
		e.What = fmt.Sprintf("%s %s: cannot reach the API server at %s: %v", at.Verb, thing, at.Host, err)
		e.Next = "kubectl config current-context && kubectl cluster-info"
	default:
		e.What = fmt.Sprintf("%s %s in namespace %q: %v", at.Verb, thing, at.Namespace, err)
	}
	return e
}

// OfConfig turns what reading the kubeconfig returned into an Error.
func OfConfig(err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Code: CouldNot, Cause: err, What: fmt.Sprintf("read kubeconfig: %v", err), Next: "kubectl config get-contexts"}
	switch {
	case clientcmd.IsEmptyConfig(err):
		e.What = "read kubeconfig: there is none, or it names no cluster; name one with --kubeconfig or KUBECONFIG"
	case errors.Is(err, fs.ErrNotExist):
		e.Next = "ls -l ${KUBECONFIG:-~/.kube/config}"
	}
	return e
}

// unreachable says whether the request never got an answer.
func unreachable(err error) bool {
	var request *url.Error
	return errors.As(err, &request)
}

// Print writes the error for a person and returns what to exit with.
func Print(w io.Writer, err error) Code {
	if err == nil {
		return Done
	}
	if errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintln(w, "error: interrupted")
		return CouldNot
	}
	_, _ = fmt.Fprintf(w, "error: %v\n", err)
	var known *Error
	if !errors.As(err, &known) {
		return CouldNot
	}
	if known.Next != "" {
		_, _ = fmt.Fprintf(w, "next:  %s\n", known.Next)
	}
	return known.Code
}
