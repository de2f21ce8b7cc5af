package charts_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/clarity-loop/clarity/controllers/operator"
)

// broker is Pub/Sub itself, which hands dead letters on.
const broker = "service-123456789012@gcp-sa-pubsub"

// googleRights are what each account may do at Google: "role on kind name", and under which
// condition.
func googleRights(t *testing.T, objects []unstructured.Unstructured) map[string][]string {
	t.Helper()
	rights := map[string][]string{}
	for _, o := range objects {
		if o.GetKind() != "IAMPolicyMember" {
			continue
		}
		of, _, _ := unstructured.NestedString(o.Object, "spec", "memberFrom", "serviceAccountRef", "name")
		of = strings.TrimPrefix(of, "clarity-")
		if member, _, _ := unstructured.NestedString(o.Object, "spec", "member"); of == "" {
			of = strings.TrimSuffix(strings.TrimPrefix(member, "serviceAccount:"), ".iam.gserviceaccount.com")
		}
		on, _, _ := unstructured.NestedString(o.Object, "spec", "resourceRef", "name")
		if external, _, _ := unstructured.NestedString(o.Object, "spec", "resourceRef", "external"); on == "" {
			on = external
		}
		line := strings.TrimPrefix(text(t, o, "spec", "role"), "roles/") + " on " + text(t, o, "spec", "resourceRef", "kind") + " " + on
		if when, _, _ := unstructured.NestedString(o.Object, "spec", "condition", "expression"); when != "" {
			line += " if " + when
		}
		rights[of] = append(rights[of], line)
	}
	for _, lines := range rights {
		slices.Sort(lines)
	}
	return rights
}

// handWritten reads a table that was written by hand.
func handWritten[T any](t *testing.T, file string) (of T) {
	t.Helper()
	content, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(content, &of); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return of
}

// What each account may do at Google is what stands in the table, and nothing else.
func TestEveryAccountMayDoAtGoogleWhatIsWritten(t *testing.T) {
	objects := allGoogle(t)
	want := handWritten[struct {
		Rights map[string][]string
		Roles  map[string][]string
	}](t, "google.yaml")
	for _, lines := range want.Rights {
		slices.Sort(lines)
	}
	if diff := cmp.Diff(want.Rights, googleRights(t, objects)); diff != "" {
		t.Errorf("rights at Google (-table +chart):\n%s", diff)
	}
	roles := map[string][]string{}
	for name, o := range ofKind(t, objects, "IAMCustomRole") {
		permissions, _, err := unstructured.NestedStringSlice(o.Object, "spec", "permissions")
		if err != nil {
			t.Fatal(err)
		}
		roles[name] = permissions
	}
	if diff := cmp.Diff(want.Roles, roles); diff != "" {
		t.Errorf("roles (-table +chart):\n%s", diff)
	}
	if broad := tooBroad(t, objects); len(broad) > 0 {
		t.Errorf("too much is allowed:\n%s", strings.Join(broad, "\n"))
	}
}

// harmless are the permissions that a role of ours may have on a whole project: none reads
// or writes what is anybody's. A message wakes whose token one has.
var harmless = []string{"monitoring.timeSeries.list", "pubsub.subscriptions.list", "pubsub.topics.get", "firebaseauth.users.get", "aiplatform.endpoints.predict", "storage.buckets.get",
	"cloudkms.cryptoKeyVersions.list", "cloudmessaging.messages.create"}

// forModels is all that the account of model servers may have.
var forModels = regexp.MustCompile(`^(storage\.objectViewer on StorageBucket \S+-models|artifactregistry\.reader on ArtifactRegistryRepository \S+)$`)

// tooBroad tells what no table could allow: a right of everybody, of a whole project, of an
// administrator, or of somebody else.
func tooBroad(t *testing.T, objects []unstructured.Unstructured) (told []string) {
	t.Helper()
	for name, o := range ofKind(t, objects, "IAMCustomRole") {
		permissions, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "permissions")
		for _, p := range permissions {
			if !slices.Contains(harmless, p) {
				told = append(told, name+" has "+p)
			}
		}
	}
	for account, lines := range googleRights(t, objects) {
		for _, line := range lines {
			role, on, _ := strings.Cut(line, " on ")
			kind, rest, _ := strings.Cut(on, " ")
			custom := strings.HasPrefix(role, "projects/")
			_, when, conditional := strings.Cut(rest, " if ")
			switch {
			case strings.HasPrefix(account, "all"):
			case strings.HasPrefix(account, "manager"):
			case !custom && (slices.Contains([]string{"owner", "editor", "viewer"}, role) || strings.Contains(strings.ToLower(role), "admin")):
			case slices.Contains([]string{"Project", "Folder", "Organization"}, kind) && !custom && (!conditional || !strings.HasPrefix(when, `resource.name == "projects/clarity-example/databases/`)):
			case account == "models" && !forModels.MatchString(line):
			case role == "iam.workloadIdentityUser" && !strings.HasSuffix(account, "[clarity/"+rest+"]"):
			case account == broker && !strings.HasPrefix(role, "pubsub."):
			default:
				continue
			}
			told = append(told, account+": "+line)
		}
	}
	return told
}

// Each planted right that is too much is found.
func TestARightThatIsTooMuchIsFound(t *testing.T) {
	change := func(name string, path []string, value any) func(*testing.T, []unstructured.Unstructured) {
		return func(t *testing.T, objects []unstructured.Unstructured) {
			o := objects[slices.IndexFunc(objects, func(o unstructured.Unstructured) bool {
				return o.GetName() == name && strings.HasPrefix(o.GetKind(), "IAM") && o.GetKind() != "IAMServiceAccount"
			})]
			if value == nil {
				unstructured.RemoveNestedField(o.Object, path...)
			} else if err := unstructured.SetNestedField(o.Object, value, path...); err != nil {
				t.Fatal(err)
			}
		}
	}
	role, kind := []string{"spec", "role"}, []string{"spec", "resourceRef", "kind"}
	for name, plant := range map[string]func(*testing.T, []unstructured.Unstructured){
		"an owner":                               change("clarity-worker-keys", role, "roles/owner"),
		"an administrator of buckets":            change("clarity-worker-objects", role, "roles/storage.admin"),
		"all buckets of the project":             change("clarity-worker-objects", kind, "Project"),
		"all databases of the project":           change("clarity-ingress-firestore-keys", []string{"spec", "condition"}, nil),
		"another project's databases":            change("clarity-ingress-firestore-keys", []string{"spec", "condition", "expression"}, `resource.name.startsWith("projects/")`),
		"everybody":                              change("clarity-worker-workload", []string{"spec", "member"}, "allUsers"),
		"a model server that writes models":      change("clarity-models-models", role, "roles/storage.objectUser"),
		"a model server that opens keys":         change("clarity-models-models", kind, "KMSCryptoKey"),
		"a model server that reads uploads":      change("clarity-models-models", []string{"spec", "resourceRef", "name"}, "clarity-example-objects"),
		"a manager that reads models":            change("clarity-models-models", []string{"spec", "memberFrom", "serviceAccountRef", "name"}, "clarity-manager"),
		"another pod's identity":                 change("clarity-worker-workload", []string{"spec", "member"}, "serviceAccount:clarity-example.svc.id.goog[clarity/clarity-models]"),
		"a role that reads documents":            change("clarity-queue", []string{"spec", "permissions"}, []any{"datastore.entities.get"}),
		"a role with a wildcard":                 change("clarity-queue", []string{"spec", "permissions"}, []any{"storage.*"}),
		"a broker that reads buckets":            change("clarity-uploads-intake-broker", role, "roles/storage.objectViewer"),
		"an account that impersonates any other": change("clarity-worker-keys", role, "roles/iam.serviceAccountAdmin"),
	} {
		t.Run(name, func(t *testing.T) {
			objects := allGoogle(t)
			plant(t, objects)
			if len(tooBroad(t, objects)) == 0 {
				t.Error("it is not found")
			}
		})
	}
}

// Each pod runs as the account of its role, and those that the operator makes do, too: what
// runs other people's code over a model's file is not what opens people's keys.
func TestEveryPodHasTheIdentityOfItsRole(t *testing.T) {
	objects := render(t, "--values="+full)
	got := map[string]string{}
	for _, o := range objects {
		if template := templateOf(t, o); template != nil && o.GetKind() == "Deployment" {
			got[o.GetName()] = template.Spec.ServiceAccountName
		}
	}
	config, err := operator.Parse([]byte(configuration(t, objects)))
	if err != nil {
		t.Fatal(err)
	}
	got["shards"], got["checks and servers"] = config.AnalysisJobs.ServiceAccount, config.ModelVersions.ServiceAccount
	got["shards' environment"], got["checks' environment"] = config.AnalysisJobs.ConfigMap, config.ModelVersions.ConfigMap
	want := map[string]string{
		"clarity-manager": "clarity-manager", "clarity-ingress": "clarity-ingress", "clarity-insights": "clarity-insights", "clarity-worker": "clarity-worker",
		"shards": "clarity-worker", "checks and servers": "clarity-models", "shards' environment": "clarity-worker", "checks' environment": "clarity-models",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	emails := map[string]string{}
	for _, o := range objects {
		if o.GetKind() == "ServiceAccount" {
			emails[o.GetName()] = o.GetAnnotations()["iam.gke.io/gcp-service-account"]
		}
	}
	at := "@clarity-example.iam.gserviceaccount.com"
	google := map[string]string{
		"clarity-manager": "", "clarity-metrics-reader": "", "clarity-test-samples": "",
		"clarity-ingress": "clarity-ingress" + at, "clarity-worker": "clarity-worker" + at, "clarity-models": "clarity-models" + at, "clarity-insights": "narrator" + at,
	}
	if diff := cmp.Diff(google, emails); diff != "" {
		t.Errorf("identities at Google (-want +got):\n%s", diff)
	}
	if data, _, _ := unstructured.NestedMap(find(t, objects, "ConfigMap", "clarity-models").Object, "data"); len(data) > 0 {
		t.Errorf("the checks of a version are told %v", data)
	}
}

// Every pod that pulls an image does so with the release's secrets: its own, or its account's.
func TestEveryPodPullsWithTheSecrets(t *testing.T) {
	for _, o := range render(t, "--values="+full) {
		var secrets []any
		switch {
		case o.GetKind() == "ServiceAccount" && o.GetName() != "clarity-metrics-reader" && o.GetName() != "clarity-test-samples":
			secrets, _, _ = unstructured.NestedSlice(o.Object, "imagePullSecrets")
		case templateOf(t, o) != nil:
			secrets, _, _ = unstructured.NestedSlice(o.Object, "spec", "template", "spec", "imagePullSecrets")
		default:
			continue
		}
		if content, _ := json.Marshal(secrets); string(content) != `[{"name":"registry"}]` {
			t.Errorf("%s %s pulls with %s", o.GetKind(), o.GetName(), content)
		}
	}
}
