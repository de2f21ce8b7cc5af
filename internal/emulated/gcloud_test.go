package emulated

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorder is a gcloud of which nothing is there yet; it writes what it is asked for, a
// line each, its words apart by tabs.
const recorder = `#!/bin/sh
[ "$1 $2" != "auth print-access-token" ] || echo a-token
for word; do [ "$word" != describe ] || exit 1; done
(printf '%s\t' "$@"; echo) >>"$RECORD"
`

// sender is a curl that answers as Firebase Rules does to who has a token: there is a release
// where RELEASED says so. It writes down the method, the URL and the body, a line each.
const sender = `#!/bin/sh
method=GET
while [ $# -gt 0 ]; do
  case $1 in
    --header) case $2 in @*) [ "$(cat "${2#@}")" != "Authorization: Bearer a-token" ] || known=1 ;; esac; shift ;;
    --request) method=$2; shift ;;
    --data) [ $method != GET ] || method=POST; body=$2; shift ;;
    --*) ;;
    *) url=$1 ;;
  esac
  shift
done
[ "$known" ] || exit 22
[ $method != PATCH ] || [ "$RELEASED" ] || exit 22
printf '%s\t%s\t%s\n' "$method" "$url" "$body" >>"$RECORD.sent"
echo '{
  "name": "projects/demo/rulesets/0a1b",
  "source": {"files": [{"name": "firestore.rules"}]}
}'
`

// script runs hack/gcloud.sh, and returns what it asked gcloud for, and sent by itself.
func script(t *testing.T, env []string, args ...string) (asked, sent string) {
	t.Helper()
	dir := t.TempDir()
	record := filepath.Join(dir, "record")
	for name, text := range map[string]string{"gcloud": recorder, "curl": sender} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "../../hack/gcloud.sh", args...)
	cmd.Env = append(append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "RECORD="+record), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	curled, err := os.ReadFile(record + ".sent")
	if err != nil {
		t.Fatal(err)
	}
	return string(text), string(curled)
}

// asked are the calls of hack/gcloud.sh.
func asked(t *testing.T) (calls [][]string) {
	t.Helper()
	text, _ := script(t, nil, "demo", "europe-west3")
	for line := range strings.Lines(text) {
		calls = append(calls, strings.Split(strings.TrimRight(line, "\t\n"), "\t"))
	}
	return calls
}

// call has the words before the flags, and the flags by name.
func call(words []string) (verb string, flags map[string][]string) {
	flags = map[string][]string{}
	var said []string
	for _, w := range words {
		name, value, _ := strings.Cut(strings.TrimPrefix(w, "--"), "=")
		if strings.HasPrefix(w, "--") {
			flags[name] = append(flags[name], value)
		} else {
			said = append(said, w)
		}
	}
	return strings.Join(said, " "), flags
}

// What gcloud.sh makes is what config/ says, as the emulators have it.
func TestGcloudMakesWhatConfigSays(t *testing.T) {
	var topics []string
	fields := map[string][]string{}
	var subscriptions, backups, copied []map[string]any
	buckets := map[string]map[string][]string{}
	var protected []string
	for _, words := range asked(t) {
		verb, flags := call(words)
		if strings.Join(flags["project"], "") != "demo" {
			t.Errorf("%s is of the project %q", verb, flags["project"])
		}
		kind, name, _ := strings.Cut(verb, " create ")
		switch {
		case kind == "pubsub topics":
			topics = append(topics, name)
			if at := flags["message-storage-policy-allowed-regions"]; !slices.Equal(at, []string{"europe-west3"}) {
				t.Errorf("the topic %s is kept in %v", name, at)
			}
		case kind == "pubsub subscriptions":
			subscriptions = append(subscriptions, subscription(name, flags))
		case kind == "storage buckets":
			buckets[name] = flags
		case strings.HasPrefix(verb, "storage buckets update ") && flags["versioning"] != nil:
			buckets[strings.TrimPrefix(verb, "storage buckets update ")]["versioning"] = []string{"true"}
		case verb == "firestore databases update" && flags["delete-protection"] != nil:
			protected = append(protected, flags["database"]...)
		case verb == "firestore backups schedules create":
			backups = append(backups, map[string]any{"database": flags["database"][0], strings.Join(flags["recurrence"], "") + "Recurrence": map[string]any{}, "retention": flags["retention"][0]})
		case strings.HasPrefix(verb, "firestore backups schedules list"):
		case strings.HasPrefix(verb, "firestore indexes "), strings.HasPrefix(verb, "firestore fields "):
			database := flags["database"][0]
			fields[database] = append(fields[database], field(verb, flags)...)
		}
	}
	compare(t, "pubsub/topics.json", named(topics))
	compare(t, "pubsub/subscriptions.json", subscriptions)
	if err := json.Unmarshal(config(t, "firestore/backups.json"), &copied); err != nil {
		t.Fatal(err)
	}
	for _, c := range copied {
		if c["database"] == "documents" {
			c["database"] = "clarity" // as the script calls it
		}
	}
	if diff := cmp.Diff(copied, backups); diff != "" {
		t.Errorf("firestore/backups.json (-config +gcloud):\n%s", diff)
	}
	for _, database := range []string{"clarity", "keys", "queue"} {
		if diff := cmp.Diff(overrides(t), slices.Sorted(slices.Values(fields[database]))); diff != "" {
			t.Errorf("firestore.indexes.json of %s (-config +gcloud):\n%s", database, diff)
		}
	}
	if diff := cmp.Diff([]string{"clarity", "keys"}, protected); diff != "" {
		t.Errorf("what cannot be deleted (-want +got):\n%s", diff)
	}
	made := map[string]any{}
	for name, flags := range buckets {
		made[name] = bucket(flags)
	}
	want := map[string]any{"gs://demo-objects": told(t, "gcs/bucket.json"), "gs://demo-audit": told(t, "gcs/audit/bucket.json"), "gs://demo-models": told(t, "gcs/models/bucket.json")}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("config/gcs (-config +gcloud):\n%s", diff)
	}
}

// The rules that it deploys are those that the emulator has, to the byte; the release is led
// to them, or made where there is none.
func TestGcloudDeploysTheRulesOfConfig(t *testing.T) {
	const at = "https://firebaserules.googleapis.com/v1/projects/demo/"
	release := map[string]any{"name": "projects/demo/releases/cloud.firestore/people", "rulesetName": "projects/demo/rulesets/0a1b"}
	tests := map[string]struct {
		env []string
		to  string
		is  map[string]any
	}{
		"at first": {[]string{"DATABASE=people"}, "POST " + at + "releases", release},
		"again":    {[]string{"DATABASE=people", "RELEASED=1"}, "PATCH " + at + "releases/cloud.firestore/people", map[string]any{"release": release}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			asked, sent := script(t, tt.env, "demo", "rules")
			if asked != "auth\tprint-access-token\t--project=demo\t\n" {
				t.Errorf("it asks gcloud for %q", asked)
			}
			lines := strings.Split(strings.TrimRight(sent, "\n"), "\n")
			if len(lines) != 2 {
				t.Fatalf("it sends\n%s", sent)
			}
			for i, want := range []struct {
				to string
				is map[string]any
			}{
				{"POST " + at + "rulesets", map[string]any{"source": map[string]any{"files": []any{
					map[string]any{"name": "firestore.rules", "content": string(config(t, "firestore/firestore.rules"))}}}}},
				{tt.to, tt.is},
			} {
				parts := strings.SplitN(lines[i], "\t", 3)
				var is map[string]any
				if err := json.Unmarshal([]byte(parts[2]), &is); err != nil {
					t.Fatalf("%v: %s", err, parts[2])
				}
				if diff := cmp.Diff(want.is, is); diff != "" || parts[0]+" "+parts[1] != want.to {
					t.Errorf("%s %s, want %s (-want +got):\n%s", parts[0], parts[1], want.to, diff)
				}
			}
		})
	}
}

// bucket is what the flags say, in the words of told.
func bucket(flags map[string][]string) map[string]string {
	b := map[string]string{"uniform": "false", "prevention": "", "softDelete": strings.Join(flags["soft-delete-duration"], ""), "retention": strings.Join(flags["retention-period"], ""), "versioning": strconv.FormatBool(flags["versioning"] != nil)}
	if flags["uniform-bucket-level-access"] != nil {
		b["uniform"] = "true"
	}
	if flags["public-access-prevention"] != nil {
		b["prevention"] = "enforced"
	}
	return b
}

// told is what a bucket of config is to be: times as gcloud takes them.
func told(t *testing.T, name string) map[string]string {
	t.Helper()
	var b struct {
		IAM struct {
			Uniform    struct{ Enabled bool } `json:"uniformBucketLevelAccess"`
			Prevention string                 `json:"publicAccessPrevention"`
		} `json:"iamConfiguration"`
		SoftDelete struct {
			Seconds string `json:"retentionDurationSeconds"`
		} `json:"softDeletePolicy"`
		Retention struct {
			Seconds string `json:"retentionPeriod"`
		} `json:"retentionPolicy"`
		Versioning struct{ Enabled bool }
	}
	if err := json.Unmarshal(config(t, name), &b); err != nil {
		t.Fatal(err)
	}
	after := func(seconds string) string {
		if seconds == "" || seconds == "0" {
			return seconds
		}
		return seconds + "s"
	}
	return map[string]string{"uniform": strconv.FormatBool(b.IAM.Uniform.Enabled), "prevention": b.IAM.Prevention, "softDelete": after(b.SoftDelete.Seconds), "retention": after(b.Retention.Seconds), "versioning": strconv.FormatBool(b.Versioning.Enabled)}
}

func named(names []string) (all []map[string]any) {
	for _, n := range names {
		all = append(all, map[string]any{"name": n})
	}
	return all
}

// subscription is what the flags say, in the words of the API.
func subscription(name string, flags map[string][]string) map[string]any {
	one := func(flag string) string { return strings.Join(flags[flag], "") }
	number := func(flag string) float64 {
		var n float64
		_ = json.Unmarshal([]byte(one(flag)), &n) // 0 differs
		return n
	}
	s := map[string]any{"name": name, "topic": one("topic"), "ackDeadlineSeconds": number("ack-deadline"), "messageRetentionDuration": one("message-retention-duration")}
	if one("expiration-period") == "never" {
		s["expirationPolicy"] = map[string]any{}
	}
	if flags["enable-message-ordering"] != nil {
		s["enableMessageOrdering"] = true
	}
	if least := one("min-retry-delay"); least != "" {
		s["retryPolicy"] = map[string]any{"minimumBackoff": least, "maximumBackoff": one("max-retry-delay")}
	}
	if dead := one("dead-letter-topic"); dead != "" {
		s["deadLetterPolicy"] = map[string]any{"deadLetterTopic": dead, "maxDeliveryAttempts": number("max-delivery-attempts")}
	}
	return s
}

// field is what is indexed, a line an index.
func field(verb string, flags map[string][]string) (lines []string) {
	words := strings.Fields(verb)
	at := strings.Join(flags["collection-group"], "") + " " + words[len(words)-1]
	switch {
	case strings.Contains(verb, "ttls update"):
		return []string{at + " ttl"}
	case flags["disable-indexes"] != nil:
		return []string{at + " none"}
	}
	for _, index := range flags["index"] {
		lines = append(lines, at+" "+strings.ToUpper(strings.TrimPrefix(index, "order=")))
	}
	return lines
}

// overrides are those of config/firestore, as field writes them.
func overrides(t *testing.T) (lines []string) {
	t.Helper()
	var file struct {
		FieldOverrides []struct {
			CollectionGroup, FieldPath string
			TTL                        bool
			Indexes                    []struct{ Order string }
		}
	}
	if err := json.Unmarshal(config(t, "firestore/firestore.indexes.json"), &file); err != nil {
		t.Fatal(err)
	}
	for _, o := range file.FieldOverrides {
		at := o.CollectionGroup + " " + o.FieldPath + " "
		switch {
		case o.TTL:
			lines = append(lines, at+"ttl")
		case len(o.Indexes) == 0:
			lines = append(lines, at+"none")
		}
		for _, i := range o.Indexes {
			lines = append(lines, at+i.Order)
		}
	}
	slices.Sort(lines)
	return lines
}

func config(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../config", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// compare holds what was made against a list of config, whatever their order.
func compare(t *testing.T, name string, made []map[string]any) {
	t.Helper()
	var want []map[string]any
	if err := json.Unmarshal(config(t, name), &want); err != nil {
		t.Fatal(err)
	}
	byName := func(a, b map[string]any) int { return strings.Compare(a["name"].(string), b["name"].(string)) }
	slices.SortFunc(want, byName)
	slices.SortFunc(made, byName)
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("%s (-config +gcloud):\n%s", name, diff)
	}
}
