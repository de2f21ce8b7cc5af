package charts_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarity-loop/clarity/services/flow"
)

// allGoogle renders everything, each account with rights that the chart gives it.
func allGoogle(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	return render(t, "--values="+full, "--set=dataPlane.insights.serviceAccount.googleServiceAccount=")
}

// What config/ says of Google's services is what the chart has of it, byte for byte.
func TestTheChartHasWhatConfigSays(t *testing.T) {
	for _, service := range []string{"pubsub", "gcs", "firestore"} {
		files := 0
		err := filepath.WalkDir("../config/"+service, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".json" {
				return err
			}
			files++
			want, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			got, err := os.ReadFile(filepath.Join("clarity/files/google", strings.TrimPrefix(path, "../config/")))
			if err != nil || string(got) != string(want) {
				t.Errorf("%s is not what the chart has; make generate (%v)", path, err)
			}
			return nil
		})
		if err != nil || files == 0 {
			t.Fatalf("config/%s: %d files, %v", service, files, err)
		}
	}
}

// said reads a file of config/.
func said[T any](t *testing.T, file string) (of T) {
	t.Helper()
	content, err := os.ReadFile("../config/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &of); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return of
}

// ofKind are the objects of the kind, by what each is called at Google.
func ofKind(t *testing.T, objects []unstructured.Unstructured, kind string) map[string]unstructured.Unstructured {
	t.Helper()
	found := map[string]unstructured.Unstructured{}
	for _, o := range objects {
		if o.GetKind() != kind {
			continue
		}
		name, _, err := unstructured.NestedString(o.Object, "spec", "resourceID")
		if err != nil {
			t.Fatal(err)
		}
		if name == "" {
			name = o.GetName()
		}
		found[name] = o
	}
	return found
}

// Each topic and each subscription of config/pubsub is made, with all that is said of it, and
// no other; each consumer that the code lists has one, which one account reads and may put
// off again; and somebody publishes to each topic.
func TestTheTopicsAreThoseOfConfigAndTheCode(t *testing.T) {
	objects := allGoogle(t)
	topics, subscriptions := ofKind(t, objects, "PubSubTopic"), ofKind(t, objects, "PubSubSubscription")
	for _, topic := range said[[]map[string]any](t, "pubsub/topics.json") {
		name := topic["name"].(string)
		if regions, _, _ := unstructured.NestedStringSlice(topics[name].Object, "spec", "messageStoragePolicy", "allowedPersistenceRegions"); !slices.Equal(regions, []string{"us-central1"}) {
			t.Errorf("%s is kept in %v", name, regions)
		}
		delete(topics, name)
	}
	for name := range topics {
		t.Errorf("the topic %s is in the chart alone", name)
	}
	for _, want := range said[[]map[string]any](t, "pubsub/subscriptions.json") {
		name := want["name"].(string)
		got, there := subscriptions[name]
		if !there {
			t.Errorf("there is no subscription %s", name)
			continue
		}
		if diff := cmp.Diff(want, asConfig(t, got), cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == `["expirationPolicy"]` }, cmp.Ignore())); diff != "" {
			t.Errorf("%s (-config +chart):\n%s", name, diff)
		}
		delete(subscriptions, name)
	}
	for name := range subscriptions {
		t.Errorf("the subscription %s is in the chart alone", name)
	}
	rights := googleRights(t, objects)
	who := func(role, on string) (accounts []string) {
		for account, lines := range rights {
			if slices.Contains(lines, role+" on "+on) {
				accounts = append(accounts, account)
			}
		}
		return accounts
	}
	for topic, consumers := range flow.Consumers() {
		publishers := who("pubsub.publisher", "PubSubTopic clarity-"+topic)
		if len(publishers) == 0 {
			t.Errorf("nobody may publish to %s", topic)
		}
		for _, consumer := range consumers {
			readers := who("pubsub.subscriber", "PubSubSubscription clarity-"+topic+"-"+consumer)
			readers = slices.DeleteFunc(readers, func(account string) bool { return account == broker })
			if len(readers) != 1 || !slices.Contains(publishers, readers[0]) {
				t.Errorf("%s of %s is read by %v, of which one has to be, that may publish what it puts off: %v may", consumer, topic, readers, publishers)
			}
		}
	}
}

// asConfig is a subscription in the words of config/pubsub.
func asConfig(t *testing.T, o unstructured.Unstructured) map[string]any {
	t.Helper()
	spec, _, err := unstructured.NestedMap(o.Object, "spec")
	if err != nil {
		t.Fatal(err)
	}
	named := func(path ...string) string {
		name, _, _ := unstructured.NestedString(spec, path...)
		name = strings.TrimPrefix(name, "clarity-")
		if topic, lost := strings.CutSuffix(name, "-lost"); lost {
			return topic + ".lost"
		}
		return name
	}
	spec["name"], spec["topic"] = spec["resourceID"], named("topicRef", "name")
	if policy, is := spec["deadLetterPolicy"].(map[string]any); is {
		policy["deadLetterTopic"] = named("deadLetterPolicy", "deadLetterTopicRef", "name")
		delete(policy, "deadLetterTopicRef")
	}
	delete(spec, "resourceID")
	delete(spec, "topicRef")
	content, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(content, &plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

// No subscription ever expires: one that did would take its messages along.
func TestNoSubscriptionExpires(t *testing.T) {
	for name, o := range ofKind(t, allGoogle(t), "PubSubSubscription") {
		if ttl := text(t, o, "spec", "expirationPolicy", "ttl"); ttl != "" {
			t.Errorf("%s expires after %s", name, ttl)
		}
	}
}

// The bucket of objects keeps nothing that is deleted, that of the audit all that is not, and
// both empty themselves, as config/gcs says; what is in the third stays.
func TestTheBucketsAreAsConfigSays(t *testing.T) {
	type configured struct {
		StorageClass     string
		IamConfiguration struct {
			UniformBucketLevelAccess struct{ Enabled bool }
			PublicAccessPrevention   string
		}
		SoftDeletePolicy struct{ RetentionDurationSeconds string }
		RetentionPolicy  struct {
			RetentionPeriod string
			IsLocked        bool
		}
		Versioning struct{ Enabled bool }
	}
	buckets := ofKind(t, render(t, "--values="+full, "--set=configConnector.lockAudit=true"), "StorageBucket")
	for name, folder := range map[string]string{"clarity-example-objects": "gcs/", "clarity-example-audit": "gcs/audit/", "clarity-example-models": "gcs/models/"} {
		want := said[configured](t, folder+"bucket.json")
		seconds := func(s string) float64 {
			n, err := strconv.ParseFloat(s, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		spec := map[string]any{"location": "us-central1", "storageClass": want.StorageClass,
			"uniformBucketLevelAccess": want.IamConfiguration.UniformBucketLevelAccess.Enabled, "publicAccessPrevention": want.IamConfiguration.PublicAccessPrevention,
			"softDeletePolicy": map[string]any{"retentionDurationSeconds": seconds(want.SoftDeletePolicy.RetentionDurationSeconds)},
			"versioning":       map[string]any{"enabled": want.Versioning.Enabled},
		}
		if folder != "gcs/models/" { // what is there stays
			spec["lifecycleRule"] = said[map[string]any](t, folder+"lifecycle.json")["rule"]
		}
		if want.RetentionPolicy.RetentionPeriod != "" {
			spec["retentionPolicy"] = map[string]any{"retentionPeriod": seconds(want.RetentionPolicy.RetentionPeriod), "isLocked": want.RetentionPolicy.IsLocked}
		}
		if diff := cmp.Diff(any(spec), buckets[name].Object["spec"]); diff != "" {
			t.Errorf("%s (-config +chart):\n%s", name, diff)
		}
		delete(buckets, name)
	}
	if len(buckets) > 0 {
		t.Errorf("beside them there are %v", buckets)
	}
	// What cannot be taken back is not done unasked.
	audit := ofKind(t, allGoogle(t), "StorageBucket")["clarity-example-audit"]
	if locked, _, err := unstructured.NestedBool(audit.Object, "spec", "retentionPolicy", "isLocked"); locked || err != nil {
		t.Errorf("the audit's retention is locked: %v, %v", locked, err)
	}
}

// Config Connector has no word for delete protection: what the chart makes stays when its object
// goes, and the script protects it.
func TestWhatHoldsDataOutlivesItsObject(t *testing.T) {
	for _, kind := range []string{"FirestoreDatabase", "StorageBucket", "KMSCryptoKey"} {
		for name, o := range ofKind(t, allGoogle(t), kind) {
			if policy := o.GetAnnotations()["cnrm.cloud.google.com/deletion-policy"]; policy != "abandon" {
				t.Errorf("the %s %s: %q", kind, name, policy)
			}
		}
	}
}

// Of the wrapped keys there is no copy: it would hold those of who was erased.
func TestTheKeysHaveNoCopies(t *testing.T) {
	databases := ofKind(t, allGoogle(t), "FirestoreDatabase")
	got := map[string]string{}
	for name, o := range databases {
		got[name] = strings.TrimPrefix(text(t, o, "spec", "pointInTimeRecoveryEnablement"), "POINT_IN_TIME_RECOVERY_")
		if at := text(t, o, "spec", "locationID"); at != "us-central1" {
			t.Errorf("%s is in %s", name, at)
		}
	}
	if diff := cmp.Diff(map[string]string{"clarity": "ENABLED", "keys": "DISABLED", "queue": "DISABLED"}, got); diff != "" {
		t.Errorf("recovery (-want +got):\n%s", diff)
	}
}

// Documents are copied as config/firestore says, and nothing else is; without the kind, nothing.
func TestTheBackupsAreThoseOfConfig(t *testing.T) {
	want := map[string]string{}
	for _, b := range said[[]struct {
		Database, Retention string
		DailyRecurrence     map[string]any
	}](t, "firestore/backups.json") {
		if b.DailyRecurrence == nil {
			t.Errorf("%s is not copied daily", b.Database)
		}
		want["clarity-"+b.Database] = b.Retention
	}
	got := map[string]string{}
	for _, o := range allGoogle(t) {
		if o.GetKind() != "FirestoreBackupSchedule" {
			continue
		}
		if _, daily, _ := unstructured.NestedMap(o.Object, "spec", "dailyRecurrence"); !daily {
			t.Errorf("%s is not daily", o.GetName())
		}
		got[text(t, o, "spec", "databaseRef", "name")] = text(t, o, "spec", "retention")
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("(-config +chart):\n%s", diff)
	}
	for _, o := range render(t, "--values="+full, "--set=configConnector.backups=false") {
		if o.GetKind() == "FirestoreBackupSchedule" {
			t.Errorf("%s is made", o.GetName())
		}
	}
}

// The indexes that no query uses are turned off in each database, as config/firestore says.
func TestTheIndexesAreThoseOfConfig(t *testing.T) {
	type index struct{ Order, QueryScope string }
	want := said[struct {
		FieldOverrides []struct {
			CollectionGroup, FieldPath string
			TTL                        bool
			Indexes                    []index
		}
	}](t, "firestore/firestore.indexes.json").FieldOverrides
	seen := map[string]int{}
	for _, o := range allGoogle(t) {
		if o.GetKind() != "FirestoreField" {
			continue
		}
		seen[text(t, o, "spec", "databaseRef", "name")]++
		i := slices.IndexFunc(want, func(w struct {
			CollectionGroup, FieldPath string
			TTL                        bool
			Indexes                    []index
		}) bool {
			return w.CollectionGroup == text(t, o, "spec", "collectionGroup") && w.FieldPath == text(t, o, "spec", "resourceID")
		})
		if i < 0 {
			t.Errorf("%s is of no field of config/firestore", o.GetName())
			continue
		}
		var got []index
		indexes, _, _ := unstructured.NestedSlice(o.Object, "spec", "indexConfig", "indexes")
		for _, one := range indexes {
			fields := one.(map[string]any)["fields"].([]any)[0].(map[string]any)
			got = append(got, index{fields["order"].(string), one.(map[string]any)["queryScope"].(string)})
		}
		ttl, _, _ := unstructured.NestedBool(o.Object, "spec", "ttlConfig", "enabled")
		if diff := cmp.Diff(append([]index(nil), want[i].Indexes...), got); diff != "" || ttl != want[i].TTL {
			t.Errorf("%s, whose time to live is %v (-config +chart):\n%s", want[i].FieldPath, ttl, diff)
		}
	}
	if all := len(want); !maps.Equal(seen, map[string]int{"clarity-documents": all, "clarity-keys": all, "clarity-queue": all}) || all == 0 {
		t.Errorf("fields %v, want %d each", seen, all)
	}
}

// Google refuses an account of more than 30 characters; the chart says so before.
func TestAnAccountThatGoogleWouldRefuseIsRefused(t *testing.T) {
	_, err := helm(t, "template", "my-company-sleep-platform-prod", chart, "--values="+full)
	if err == nil || !strings.Contains(err.Error(), " characters, and 30 are allowed: set nameOverride") {
		t.Errorf("%v", err)
	}
	if _, err := helm(t, "template", "my-company-sleep-platform-prod", chart, "--values="+full, "--set=nameOverride=clarity"); err != nil {
		t.Error(err)
	}
}

// The drivers of a stage and of a shard are those of the project, by the words that the programs know.
func TestTheDriversAreThoseOfTheProject(t *testing.T) {
	objects := render(t, "--values="+full)
	want := map[string]string{
		"store":    "firestore:clarity-example/clarity",
		"queue":    "pubsub:clarity-example/queue?endpoint=us-central1-pubsub.googleapis.com:443",
		"blobs":    "gcs:clarity-example-objects",
		"keys":     "kms:projects/clarity-example/locations/us-central1/keyRings/clarity/cryptoKeys/kek?documents=clarity-example/keys",
		"audit":    "gcs:clarity-example-audit",
		"identity": "firebase:clarity-example?tenants=clinic-a1b2c&appcheck=report&number=123456789012&apps=1:123456789012:ios:0a1b2c3d",
		"feed":     "firestore:clarity-example/clarity",
		"push":     "fcm:clarity-example",
		"writer":   "gemini:clarity-example/us-central1/gemini-3.5-flash-lite",
	}
	for _, stage := range []string{"ingress", "worker", "insights"} {
		backends := stageConfig(t, objects, stage).Backends
		model := map[string]string{"worker": "traffic:configmap:clarity/order", "ingress": "traffic:file:/etc/clarity-plan"}[stage]
		if backends["model"] != model {
			t.Errorf("%s has the model %q, want %q", stage, backends["model"], model)
		}
		delete(backends, "model")
		if diff := cmp.Diff(want, backends); diff != "" {
			t.Errorf("%s (-want +got):\n%s", stage, diff)
		}
	}
	env, _, err := unstructured.NestedStringMap(find(t, objects, "ConfigMap", "clarity-worker").Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	shard := map[string]string{"CLARITY_SHARD_WAIT": "20m"}
	for _, capability := range []string{"store", "queue", "blobs", "keys", "audit"} {
		shard["CLARITY_"+strings.ToUpper(capability)] = want[capability]
	}
	if diff := cmp.Diff(shard, env); diff != "" {
		t.Errorf("a shard is told (-want +got):\n%s", diff)
	}
}
