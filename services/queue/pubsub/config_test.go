package pubsub_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue/pubsub"
)

var update = flag.Bool("update", false, "write config/pubsub anew")

// What is made with the project is what the driver wants for the platform's topics
// and their consumers, and nothing else.
func TestWhatIsMadeIsWhatTheDriverWants(t *testing.T) {
	topics, subscriptions := pubsub.Wanted(flow.Consumers())
	for name, want := range map[string]string{"topics.json": written(t, topics), "subscriptions.json": written(t, subscriptions)} {
		file := filepath.Join("..", "..", "..", "config", "pubsub", name)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // everybody may read it
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s: make generate writes it anew (-wanted +deployed):\n%s", name, diff)
		}
	}
}

// written is the list in the words of the API, names without their project.
func written[T proto.Message](t *testing.T, list []T) string {
	t.Helper()
	all := make([]any, len(list))
	for i, m := range list {
		text, err := protojson.Marshal(m)
		if err == nil {
			err = json.Unmarshal(text, &all[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("projects/P/topics/", "", "projects/P/subscriptions/", "").Replace(string(text)) + "\n"
}
