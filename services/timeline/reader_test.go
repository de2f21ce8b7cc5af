package timeline_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/timeline"
)

var errAway = errors.New("away")

// objects are a person's, by name.
type objects map[string][]byte

func (o objects) Get(_ context.Context, uid, name string) ([]byte, error) {
	if data, ok := o[uid+"/"+name]; ok {
		return data, nil
	}
	return nil, errAway
}

func TestAReaderReadsThePersonsChunks(t *testing.T) {
	chunk := realistic(t, 20)
	data, _, err := timeline.Encode(chunk)
	if err != nil {
		t.Fatal(err)
	}
	r := timeline.NewReader(objects{"anna/c": data, "anna/damaged": data[:len(data)-1]})
	got, err := r.Samples(t.Context(), "anna", "c")
	if err != nil {
		t.Fatal(err)
	}
	want, err := timeline.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Samples, got); diff != "" || len(got) == 0 {
		t.Errorf("%d samples (-want +got):\n%s", len(got), diff)
	}
	if got, err := r.Samples(t.Context(), "anna", ""); err != nil || len(got) > 0 {
		t.Errorf("a day whose samples were all deleted has %v, %v", got, err)
	}
	if _, err := r.Chunk(t.Context(), "anna", "damaged"); !errors.Is(err, timeline.ErrDamaged) {
		t.Errorf("a damaged chunk: %v, want ErrDamaged", err)
	}
	if _, err := r.Chunk(t.Context(), "bert", "c"); !errors.Is(err, errAway) {
		t.Errorf("another person's chunk: %v, want what the objects say", err)
	}
}
