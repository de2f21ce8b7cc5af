package services_test

const module = "github.com/clarity-loop/clarity/"

// The rooms of the ingress that others of its rooms stand on.
const (
	ingressAccess  = "services/ingress/internal/access"
	ingressEdge    = "services/ingress/internal/edge"
	ingressLimit   = "services/ingress/internal/limit"
	ingressLine    = "services/ingress/internal/line"
	ingressProblem = "services/ingress/internal/problem"
	ingressReply   = "services/ingress/internal/reply"
	ingressRoute   = "services/ingress/internal/route"
)

// rules says which of our rooms a room may import. A room is a folder and
// everything below it; the longest matching row decides. "x" is the whole room
// x, "=x" its contract alone: the package x itself, never a driver below it.
//
// A room may always import what lies in its own folder, with two exceptions
// that need no row: no driver imports another driver, and no stage another stage.
var rules = map[string][]string{
	// The folder of the rooms is no room: no code of it is shipped.
	"services": {},
	// Domain.
	"services/health":     {},
	"services/timeline":   {"services/health"},
	"services/actigraphy": {},
	"services/metric":     {"services/actigraphy", "services/health"},
	"services/analysis":   {"services/actigraphy", "services/health"},
	"services/flow":       {"services/health"},
	// A writer's words, or the template's where they do not keep to the facts.
	"services/grounded": {"services/analysis", "=services/narrative"},
	// What a person may use of what costs.
	"services/allowance": {"services/record", "=services/store"},
	// A person's sealed objects, as documents have a store: nobody seals a blob by hand.
	"services/vault": {"=services/blob", "=services/keyring"},
	// Between stages and drivers: what a driver sees of a person.
	"services/veil": {"services/fault", "services/record", "=services/queue", "=services/store"},
	// What becomes of a message whose handling failed: said once for every stage.
	"services/stage": {"services/fault", "=services/queue", "services/internal/patience"},
	// What is told of the way that a piece of work takes: the contract is the standard
	// library's words alone.
	"services/trace": {},
	// Why a backend could not: the one word for failure that every driver returns.
	"services/fault":  {},
	"services/record": {"services/analysis", "services/flow", "services/health"},
	// Capabilities: contract, suite, drivers.
	"services/blob":     {"services/fault", "internal/dirlock", "internal/durable", "services/internal"},
	"services/keyring":  {"services/fault", "internal/durable", "services/internal"},
	"services/identity": {"services/fault", "internal/dirlock", "internal/durable", "services/internal/peer"},
	// What keyrings do with keysets, for every driver of it; and the one whose keys are documents.
	"services/keyring/internal": {},
	"services/keyring/kms":      {"services/fault", "services/internal/peer", "services/internal/redial", "=services/keyring", "services/keyring/internal", "=services/store"},
	// How tokens are read and keys fetched, for every driver of it.
	"services/identity/internal": {},
	"services/queue":             {"services/fault", "services/internal"},
	// What Pub/Sub has no place for it keeps in documents, of whatever store it is given.
	"services/queue/pubsub": {"services/fault", "services/internal", "=services/queue", "=services/store"},
	"services/store":        {"services/fault", "services/health", "services/record", "services/internal"},
	"services/audit":        {"services/fault", "internal/dirlock", "internal/durable", "services/internal"},
	// What every chain of entries is made of, wherever it is kept.
	"services/audit/internal": {"=services/audit"},
	"services/narrative":      {"services/analysis"},
	// A language model, and when it is given a rest.
	"services/narrative/gemini": {"services/analysis", "services/internal/patience", "=services/narrative"},
	"services/model":            {"services/actigraphy"},
	// Below the model's contract: what its drivers share.
	"services/model/internal":   {},
	"services/model/preprocess": {"services/actigraphy", "=services/model"},
	"services/model/bundle":     {"services/actigraphy", "=services/model", "services/model/preprocess"},
	"services/model/pat": {"=services/model", "services/model/internal", "services/model/preprocess",
		"services/model/bundle"},
	"services/model/triton":  {"=services/model", "services/model/bundle", "services/model/preprocess"},
	"services/model/preview": {},
	// Where a version's files come from; its drivers know the contract and what a bundle looks like.
	"services/model/artifact":              {"=services/model", "services/model/bundle"},
	"services/model/artifact/artifacttest": {"services/model"},
	// What is done to a version before it serves anybody.
	"services/model/candidate": {"api/worker", "=services/model", "services/model/bundle", "=services/model/artifact"},
	// The router: which of a model's versions a request goes to, as the plan says.
	"services/model/traffic":           {"api/traffic", "=services/model"},
	"services/model/traffic/file":      {"api/traffic"},
	"services/model/traffic/fixed":     {"api/traffic"},
	"services/model/traffic/configmap": {"api/traffic"},
	// Mechanisms that drivers share: they know nothing of ours.
	"services/internal": {},
	// SQLite's result codes, in the word for failure.
	"services/internal/litedb": {"internal/dirlock", "services/fault"},
	// The lock of a data directory, which drivers and the commands share.
	"internal/dirlock": {},
	// Files that are whole or not there, for drivers and the commands.
	"internal/durable": {},
	// Stages.
	"services/ingress": {"=services/trace", "api/traffic", "services/allowance", "services/webhook", "services/metric", "services/vault", "services/health", "=services/blob", "=services/queue", "=services/store",
		"=services/keyring", "=services/identity", "=services/audit", "=services/narrative", "services/grounded"},
	// The ingress in rooms, from the line inwards: none looks back up, none beside itself.
	"services/ingress/internal/problem":    {},
	"services/ingress/internal/limit":      {},
	"services/ingress/internal/strictjson": {},
	"services/ingress/internal/line":       {ingressProblem},
	"services/ingress/internal/represent":  {},
	"services/ingress/internal/memory":     {},
	"services/ingress/internal/uri":        {ingressProblem},
	"services/ingress/internal/edge":       {"=services/trace", ingressProblem, ingressLimit, ingressLine, "services/ingress/internal/represent", "services/ingress/internal/uri"},
	"services/ingress/internal/route":      {ingressProblem, "=services/audit"},
	"services/ingress/internal/reply": {ingressProblem, "services/analysis", "services/fault", "services/health", "services/record",
		"=services/blob", "=services/identity", "=services/keyring", "=services/store"},
	// What an export says of what cannot be read.
	"services/ingress/internal/damaged": {ingressReply, "services/fault", "services/health", "=services/blob", "=services/keyring", "=services/timeline"},
	"services/ingress/internal/streams": {ingressProblem, ingressReply},
	"services/ingress/internal/access": {ingressEdge, ingressLimit, ingressProblem, ingressReply, ingressRoute,
		"services/analysis", "services/record", "=services/audit", "=services/identity", "=services/keyring", "=services/store"},
	"services/ingress/internal/envelope": {"services/health"},
	"services/ingress/internal/uploads": {ingressEdge, "services/ingress/internal/envelope", "services/vault", "services/ingress/internal/memory", ingressProblem, ingressReply, ingressRoute,
		"services/analysis", "services/flow", "services/health", "services/record", "=services/audit", "=services/blob", "=services/keyring", "=services/queue", "=services/store"},
	"services/ingress/internal/waiting": {"services/ingress/internal/damaged", ingressReply, "services/health", "services/record", "=services/blob", "=services/store"},
	"services/ingress/internal/synced":  {ingressReply, ingressRoute, "services/health", "services/record", "=services/store"},
	"services/ingress/internal/results": {"services/ingress/internal/damaged", ingressEdge, ingressProblem, ingressReply, ingressRoute,
		"services/analysis", "services/health", "services/record", "=services/audit", "=services/blob", "services/grounded", "=services/store"},
	"services/ingress/internal/events": {"services/ingress/internal/streams", ingressReply, ingressRoute, "services/record", "=services/identity", "=services/store"},
	"services/ingress/internal/told":   {ingressReply, "services/health"},
	"services/ingress/internal/account": {"services/ingress/internal/streams", "services/ingress/internal/told", ingressProblem, ingressReply, ingressRoute,
		"services/record", "=services/audit", "=services/store"},
	"services/ingress/internal/devices": {ingressProblem, ingressReply, ingressRoute, "services/record", "=services/store"},
	"services/ingress/internal/webhooks": {ingressProblem, ingressReply, ingressRoute,
		"services/flow", "services/record", "services/webhook", "=services/audit", "=services/identity", "=services/store"},
	"services/ingress/internal/ingresstest": {"services"},
	"services/stage/stagetest":              {"services/flow", "services/blob/files", "services/keyring/tink", "services/queue", "services/store"},
	"services/worker": {"=services/trace", "services/fault", "services/due", "services/stage", "api/worker", "services/flow", "services/record", "services/health", "services/timeline", "services/actigraphy", "services/metric", "services/analysis",
		"=services/model", "=services/blob", "=services/queue", "=services/store", "=services/keyring", "=services/audit"},
	"services/insights": {"=services/trace", "services/stage", "services/flow", "services/record", "services/analysis", "services/actigraphy", "=services/narrative", "services/grounded", "=services/store", "=services/queue", "=services/audit"},
	// Who sees to what is unfinished, and the windows that are to be analysed.
	"services/due": {"=services/trace", "services/analysis", "services/fault", "services/flow", "services/health", "services/internal/patience", "services/record", "=services/keyring", "=services/queue", "=services/store"},
	// Writes and removes copies of everything that is held of a person.
	"services/exports": {"services/stage", "services/fault", "services/flow", "services/analysis", "services/timeline", "services/record",
		"=services/blob", "=services/keyring", "=services/queue", "=services/store"},
	"services/erasure": {"services/fault", "services/internal/patience", "services/record", "=services/audit", "=services/blob", "=services/store"},
	"services/feed":    {"=services/trace", "services/stage", "services/flow", "services/news", "services/analysis", "=services/store", "=services/queue"},
	// What people's devices are told, in the order of its numbers: for whoever writes what it is about.
	"services/news": {"services/flow", "services/record", "=services/keyring", "=services/store"},
	// Hands on what devices were told to who listens elsewhere, whom it does not know.
	"services/relay": {"services/analysis", "services/flow", "services/record", "=services/store"},
	// Servers of a tenant that are told: the book of them, and the stage that tells.
	"services/webhook": {"services/analysis", "services/flow", "services/record", "services/stage", "=services/identity", "=services/queue", "=services/store"},
	// Devices that sleep are woken, by whoever can.
	"services/push": {"services/fault"},
	"services/wake": {"services/analysis", "services/fault", "services/flow", "services/internal/patience", "services/record", "services/stage", "=services/push", "=services/queue", "=services/store"},
	// What has served its time goes: it knows which records refer to which objects.
	"services/retention": {"services/record", "services/vault", "=services/blob", "=services/keyring", "=services/store"},
	// The words between operator, worker and plugin: the kinds, and, with the
	// standard library alone, the worker's commands, the traffic plan and the labels.
	"api":         {},
	"api/worker":  {},
	"api/traffic": {},
	"api/label":   {},
	// The operator: intents in Kubernetes, never data.
	"controllers": {"api"},
	// A rollout is decided without a client; the client of its gates decides nothing.
	"controllers/modelversion/rollout": {"api", "controllers/internal/pass", "controllers/internal/condition"},
	"controllers/modelversion/gate":    {"api"},
	"controllers/modelversion/serving": {"api", "controllers/internal"},
	// A control plane for tests and for `make cluster`; shipped code never imports it.
	"internal/kubelab": {"api"},
	// Google Cloud on this machine, for tests and `make cloud`: it knows the platform's strings and none of its rooms.
	"internal/emulated": {},
	// What a test reads while others write it.
	"internal/logtest": {},
	// The simulator of the whole platform: tests alone, which see every room.
	"internal/sim": {},
	// The edge.
	"cmd": {"api", "controllers", "internal/dirlock", "internal/durable", "services"},
	// What a program was built from: every program may say it.
	"cmd/internal/buildinfo": {},
	// The plugin works from a kubeconfig alone: it knows the words of the API and nothing else of ours.
	"cmd/kubectl-clarity": {"api", "cmd/internal/buildinfo"},
}

// testDrivers are the rooms whose tests open drivers of others, and which: they
// run over the real thing. A capability's own tests need no row: its contract's,
// its suite's and its drivers'.
var testDrivers = map[string][]string{
	// What an erasure leaves of each driver's.
	"services/erasure": {"services/blob/files", "services/keyring/tink", "services/queue/sqlite", "services/store/sqlite"},
	// Every command of every binary, with a model that is there.
	"cmd":                          {"services/model/preview"},
	"cmd/clarity":                  {"services/model/preview"},
	"cmd/worker":                   {"services/model/pat", "services/model/preview", "services/narrative/template"},
	"cmd/internal/cost":            {"services/narrative/template"},
	"cmd/internal/embedded/issuer": {"services/identity/local"},
	"cmd/internal/google":          {"services/identity/appcheck", "services/identity/firebase"},
	"cmd/internal/models":          {"services/model/preview", "services/model/traffic/file"},
	"cmd/internal/platform/stages": {"services/narrative/template"},
	// The operator's plan and its servers, as workers see them.
	"controllers/e2e": {"services/model/traffic/configmap", "services/model/triton"},
	// The whole platform, in memory.
	"internal/sim": {"services/narrative/template"},
	// The page about keys, line by line.
	"internal/house": {"services/keyring/tink"},
	// The kinds of models beside each other, and through the router.
	"services/model/candidate": {"services/model/triton"},
	"services/model/pat":       {"services/model/preview"},
	"services/model/traffic":   {"services/model/triton"},
	"services/model/triton":    {"services/model/pat", "services/model/preview"},
	// What outlives the death of a process.
	"services/queue/pubsub": {"services/store/sqlite"},
	// Sealed objects on a disk, and a week that a model looks at. What stages stand
	// on is opened in services/stage/stagetest.
	"services/vault":          {"services/blob/files", "services/keyring/tink"},
	"services/worker/analyse": {"services/model/pat", "services/model/preview"},
}

// capabilities are the rooms with drivers.
var capabilities = []string{"services/blob", "services/queue", "services/store", "services/keyring",
	"services/identity", "services/narrative", "services/audit", "services/model", "services/model/traffic",
	"services/model/artifact", "services/push", "services/trace"}

// googles are the drivers of Google Cloud's, and what sends traces from there.
var googles = []string{"services/audit/gcs", "services/blob/gcs", "services/identity/appcheck", "services/identity/firebase", "services/keyring/kms",
	"services/narrative/gemini", "services/push/fcm", "services/queue/pubsub", "services/store/firestore", "services/trace/otlp"}

// labs are what tests and `make` start: a control plane, and a cloud.
var labs = []string{"internal/kubelab", "internal/emulated"}

// pure are the rooms that decide and act on nothing, with all that they, and what
// lies below them, import beside what is ours.
var pure = map[string][]string{
	"controllers/modelversion/rollout": {"crypto/sha256", "encoding/hex", "encoding/json", "fmt", "reflect", "slices", "strings", "time",
		"k8s.io/apimachinery/pkg/apis/meta/v1", "k8s.io/apimachinery/pkg/types"},
}

// clouds are the SDKs of those whose machines we may run on, and of those that look on:
// a driver's affair.
var clouds = []string{"cloud.google.com", "google.golang.org/api", "google.golang.org/genai", "firebase.google.com", "github.com/aws", "github.com/Azure", "go.opentelemetry.io"}

// narrow are the rooms that others read from outside, with what they may import
// that is neither ours nor the standard library's: it goes with them.
var narrow = map[string][]string{
	"api":         {"k8s.io/apimachinery", "k8s.io/client-go/applyconfigurations", "sigs.k8s.io/structured-merge-diff"},
	"api/worker":  {},
	"api/traffic": {},
	"api/label":   {},
}
