package worker

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ShardArgs are the arguments of the command shard: what all shards of an
// analysis job are told. Which of them it is stands in the environment.
type ShardArgs struct {
	// Run names the run: the AnalysisJob's UID.
	Run string
	// Shards is how many there are.
	Shards int
	// Start and End are the first and the last day on which a window ends.
	Start, End string
	// Analyses are the families asked for; none has a comma in its name.
	Analyses []string
	// Replace computes what is current again, and does not skip it.
	Replace bool
	// Whose data it is about is said in exactly one of Subject, a person's opaque
	// pseudonym, Manifest, a file of them, and All.
	Subject  string
	Manifest Artifact
	All      bool
	// Model is the version to ask; nil asks none.
	Model *ShardModel
}

// A ShardModel is the version of a model that a shard asks.
type ShardModel struct {
	// Name is the model's, which has no @ in it, Version the version's.
	Name, Version string
	// Artifact is the version's bundle.
	Artifact Artifact
	// Endpoint is host:port of where it is served; "" computes in the shard.
	Endpoint string
}

// What --on-existing says.
const (
	onExistingSkip    = "Skip"
	onExistingReplace = "Replace"
)

// Flags writes the arguments.
func (a ShardArgs) Flags() []string {
	existing := onExistingSkip
	if a.Replace {
		existing = onExistingReplace
	}
	args := []string{"--run=" + a.Run, "--shards=" + strconv.Itoa(a.Shards), "--start=" + a.Start, "--end=" + a.End,
		"--analyses=" + strings.Join(a.Analyses, ","), "--on-existing=" + existing}
	if a.Subject != "" {
		args = append(args, "--subject="+a.Subject)
	}
	if a.Manifest.given() {
		args = append(args, "--manifest="+a.Manifest.URI, "--manifest-digest="+a.Manifest.Digest)
	}
	if a.All {
		args = append(args, "--all")
	}
	if m := a.Model; m != nil {
		args = append(args, "--model="+m.Name+"@"+m.Version, "--model-artifact="+m.Artifact.URI, "--model-digest="+m.Artifact.Digest)
		if m.Endpoint != "" {
			args = append(args, "--model-endpoint="+m.Endpoint)
		}
	}
	return args
}

// ParseShardArgs reads what Flags wrote; the error is flag.ErrHelp where help
// was asked for, and written. Otherwise it is every fault, joined.
func ParseShardArgs(args []string, help io.Writer) (a ShardArgs, err error) {
	var analyses, existing, version string
	var m ShardModel
	fs := flags(Shard)
	fs.StringVar(&a.Run, "run", "", "the run's `NAME`: the AnalysisJob's UID")
	fs.IntVar(&a.Shards, "shards", 0, "how many shards there are")
	fs.StringVar(&a.Start, "start", "", "the first `DAY` on which a window ends")
	fs.StringVar(&a.End, "end", "", "the last `DAY` on which a window ends")
	fs.StringVar(&analyses, "analyses", "", "the `FAMILIES` asked for, comma-separated")
	fs.StringVar(&existing, "on-existing", "", "Skip or Replace what is current")
	fs.StringVar(&a.Subject, "subject", "", "one person's `PSEUDONYM`")
	fs.StringVar(&a.Manifest.URI, "manifest", "", "the `URI` of a file of pseudonyms")
	fs.StringVar(&a.Manifest.Digest, "manifest-digest", "", "the file's `DIGEST`, sha256:…")
	fs.BoolVar(&a.All, "all", false, "everyone")
	fs.StringVar(&version, "model", "", "the model to ask, `NAME@VERSION`")
	fs.StringVar(&m.Artifact.URI, "model-artifact", "", "the `URI` of the model's bundle")
	fs.StringVar(&m.Artifact.Digest, "model-digest", "", "the bundle's `DIGEST`, sha256:…")
	fs.StringVar(&m.Endpoint, "model-endpoint", "", "its server's `HOST:PORT`; none computes here")
	if err := parse(fs, args, help, "run", "shards", "start", "end", "analyses", "on-existing"); err != nil {
		return a, err
	}
	a.Analyses = strings.Split(analyses, ",")
	a.Replace = existing == onExistingReplace
	var faults []error
	if !a.Replace && existing != onExistingSkip {
		faults = append(faults, fmt.Errorf("--on-existing is Skip or Replace, not %.20q", existing))
	}
	faults = append(faults, a.oneWay(), a.readModel(version, m))
	return a, errors.Join(faults...)
}

// oneWay holds the arguments to one way of saying whose data it is about.
func (a *ShardArgs) oneWay() error {
	ways := 0
	for _, given := range []bool{a.Subject != "", a.Manifest.given(), a.All} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return errors.New("say exactly one of --subject, --manifest and --all")
	case (a.Manifest.URI == "") != (a.Manifest.Digest == ""):
		return errors.New("--manifest and --manifest-digest go together")
	}
	return nil
}

// readModel says which version is asked, wholly or not at all.
func (a *ShardArgs) readModel(version string, m ShardModel) error {
	if version == "" && m == (ShardModel{}) {
		return nil
	}
	var both bool
	m.Name, m.Version, both = strings.Cut(version, "@")
	if !both || m.Name == "" || m.Artifact.URI == "" || m.Artifact.Digest == "" {
		return errors.New("a model is asked by --model NAME@VERSION, --model-artifact and --model-digest")
	}
	a.Model = &m
	return nil
}
