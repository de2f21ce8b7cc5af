package worker

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// awkward is a text that a shell, a flag or a template could trip over.
const awkward = "--x=\"a b\"\n'$HOME'=,ä\x00\xff{{.}} -h"

func TestWhatTheOperatorWritesTheWorkerReads(t *testing.T) {
	artifact, golden := Artifact{"oci://r/m@sha256:1?a=b&c", "sha256:1"}, Artifact{awkward, "-"}
	verify := func(args []string) (any, error) { return ParseVerifyArgs(args, io.Discard) }
	fetch := func(args []string) (any, error) { return ParseFetchArgs(args, io.Discard) }
	validate := func(args []string) (any, error) { return ParseValidateArgs(args, io.Discard) }
	shard := func(args []string) (any, error) { return ParseShardArgs(args, io.Discard) }
	job := ShardArgs{Run: "run", Shards: 200, Start: "2026-09-01", End: "2026-09-07", Analyses: []string{"wear", "model"}}
	with := func(change func(*ShardArgs)) ShardArgs {
		a := job
		change(&a)
		return a
	}
	tests := map[string]struct {
		args  interface{ Flags() []string }
		parse func([]string) (any, error)
	}{
		"verify":                     {VerifyArgs{artifact, golden, `{"inputs":[{"name":"a=b","dims":[1]}]}`}, verify},
		"verify, awkward":            {VerifyArgs{golden, golden, awkward}, verify},
		"fetch on the GPU":           {FetchArgs{artifact, "pat-s", "/models", 64, true}, fetch},
		"fetch on the processor":     {FetchArgs{golden, awkward, "-", 4096, false}, fetch},
		"validate":                   {ValidateArgs{artifact, golden, "pat-s", "2026.11.1", "[::1]:8001", "1e-3", 90 * time.Second}, validate},
		"validate, awkward":          {ValidateArgs{golden, artifact, awkward, "-", awkward, "--", time.Nanosecond}, validate},
		"everyone":                   {with(func(a *ShardArgs) { a.All = true }), shard},
		"everyone, replaced":         {with(func(a *ShardArgs) { a.All, a.Replace = true, true }), shard},
		"one person":                 {with(func(a *ShardArgs) { a.Subject = "-h" }), shard},
		"a manifest":                 {with(func(a *ShardArgs) { a.Manifest = golden }), shard},
		"one family without a name":  {with(func(a *ShardArgs) { a.All, a.Analyses = true, []string{"a", ""} }), shard},
		"no shard":                   {with(func(a *ShardArgs) { a.All, a.Shards = true, -1 }), shard},
		"a model in the shard":       {with(func(a *ShardArgs) { a.All, a.Model = true, &ShardModel{"pat-s", "2026.11.1", artifact, ""} }), shard},
		"a model where it is served": {with(func(a *ShardArgs) { a.All, a.Model = true, &ShardModel{"pat", "1@2", golden, awkward} }), shard},
		"a model without a version":  {with(func(a *ShardArgs) { a.All, a.Model = true, &ShardModel{"pat", "", artifact, ""} }), shard},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.parse(tt.args.Flags())
			if diff := cmp.Diff(any(tt.args), got); err != nil || diff != "" {
				t.Errorf("%v (-written +read):\n%s", err, diff)
			}
		})
	}
}

func TestArgumentsThatSayTooLittleOrTooMuch(t *testing.T) {
	both := Artifact{"u", "d"}
	verify := VerifyArgs{both, both, "{}"}.Flags()
	fetch := FetchArgs{both, "m", "/models", 8, true}.Flags()
	validate := ValidateArgs{both, both, "m", "1", "e:1", "1e-3", time.Minute}.Flags()
	shard := ShardArgs{Run: "r", Shards: 2, Start: "a", End: "b", Analyses: []string{"wear"}, All: true}.Flags()
	model := []string{"--model=pat@1", "--model-artifact=u", "--model-digest=d"}
	of := func(parse func([]string, io.Writer) error) func([]string) error {
		return func(args []string) error { return parse(args, io.Discard) }
	}
	verifying := of(func(a []string, w io.Writer) error { _, err := ParseVerifyArgs(a, w); return err })
	fetching := of(func(a []string, w io.Writer) error { _, err := ParseFetchArgs(a, w); return err })
	validating := of(func(a []string, w io.Writer) error { _, err := ParseValidateArgs(a, w); return err })
	sharding := of(func(a []string, w io.Writer) error { _, err := ParseShardArgs(a, w); return err })
	tests := map[string]struct {
		parse func([]string) error
		args  []string
		want  string // "" for no error
	}{
		"verify":                             {verifying, verify, ""},
		"verify without a contract":          {verifying, verify[:4], "verify needs --contract"},
		"verify without anything":            {verifying, nil, "verify needs --artifact-uri, --artifact-digest, --golden-uri, --golden-digest, --contract"},
		"a flag that is none":                {verifying, append([]string{"--mood=x"}, verify...), "-mood"},
		"an argument":                        {verifying, append(verify[:5:5], "x"), `verify takes no argument, got "x"`},
		"fetch":                              {fetching, fetch, ""},
		"fetch, the GPU not said":            {fetching, fetch[:5], ""},
		"fetch of no batch":                  {fetching, append(fetch[:6:6], "--max-batch=0"), "--max-batch is 1 to 4096, not 0"},
		"fetch of a batch too large":         {fetching, append(fetch[:6:6], "--max-batch=4097"), "not 4097"},
		"fetch of a batch of letters":        {fetching, append(fetch[:6:6], "--max-batch=x"), "max-batch"},
		"fetch of a batch of words":          {fetching, append(fetch[:6:6], "--max-batch=many"), `fetch: invalid value "many" for flag --max-batch, which is a whole number`},
		"fetch on half a GPU":                {fetching, append(fetch[:6:6], "--gpu=half"), `"half" for --gpu`},
		"validate for a while":               {validating, append(validate[:9:9], "--timeout=while"), `invalid value "while" for flag --timeout, which is a duration such as 3s`},
		"a flag that is none, in full":       {verifying, append([]string{"--mood=x"}, verify...), "verify: flag provided but not defined: --mood"},
		"fetch without a model":              {fetching, slices.Delete(slices.Clone(fetch), 2, 3), "fetch needs --model"},
		"validate":                           {validating, validate, ""},
		"validate, the time not said":        {validating, validate[:8], ""},
		"validate in no time":                {validating, append(validate[:9:9], "--timeout=0s"), "--timeout is above 0, not 0s"},
		"validate without an endpoint":       {validating, slices.Delete(slices.Clone(validate), 6, 7), "validate needs --endpoint"},
		"shard":                              {sharding, shard, ""},
		"shard without a run":                {sharding, shard[1:], "shard needs --run"},
		"everyone and one":                   {sharding, append(shard[:7:7], "--subject=x"), "say exactly one of --subject, --manifest and --all"},
		"everyone and a manifest":            {sharding, append(shard[:7:7], "--manifest=x", "--manifest-digest=d"), "say exactly one of"},
		"nobody":                             {sharding, shard[:6], "say exactly one of"},
		"a manifest without a digest":        {sharding, append(shard[:6:6], "--manifest=x"), "go together"},
		"a digest without a manifest":        {sharding, append(shard[:6:6], "--manifest-digest=x"), "go together"},
		"a policy that is none":              {sharding, append(shard[:7:7], "--on-existing=Ask"), `--on-existing is Skip or Replace, not "Ask"`},
		"a model":                            {sharding, append(shard[:7:7], model...), ""},
		"a model without a version":          {sharding, append(shard[:7:7], "--model=pat", model[1], model[2]), "--model NAME@VERSION"},
		"a model without a name":             {sharding, append(shard[:7:7], "--model=@1", model[1], model[2]), "--model NAME@VERSION"},
		"a model without an artifact":        {sharding, append(shard[:7:7], model[0], model[2]), "--model-artifact"},
		"a model without a digest":           {sharding, append(shard[:7:7], model[0], model[1]), "--model-digest"},
		"an endpoint of no model":            {sharding, append(shard[:7:7], "--model-endpoint=e:1"), "--model NAME@VERSION"},
		"two faults of a shard at once, one": {sharding, append(shard[:6:6], "--on-existing=Ask"), "--on-existing is"},
		"two faults of a shard at once, two": {sharding, append(shard[:6:6], "--on-existing=Ask"), "say exactly one of"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.parse(tt.args)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestHelpIsWrittenWhereItIsAskedFor(t *testing.T) {
	for command, parse := range map[string]func([]string, io.Writer) error{
		Verify:   func(a []string, w io.Writer) error { _, err := ParseVerifyArgs(a, w); return err },
		Fetch:    func(a []string, w io.Writer) error { _, err := ParseFetchArgs(a, w); return err },
		Validate: func(a []string, w io.Writer) error { _, err := ParseValidateArgs(a, w); return err },
		Shard:    func(a []string, w io.Writer) error { _, err := ParseShardArgs(a, w); return err },
	} {
		var out bytes.Buffer
		err := parse([]string{"--help"}, &out)
		if !errors.Is(err, flag.ErrHelp) || !strings.Contains(out.String(), "Usage of worker "+command) {
			t.Errorf("%s: %v, %q", command, err, out.String())
		}
	}
}

// Whatever is read can be written, and then reads the same.
func FuzzParseShardArgs(f *testing.F) {
	f.Add("--run=r\n--shards=2\n--start=2026-09-01\n--end=2026-09-07\n--analyses=wear,model\n--on-existing=Skip\n--all\n--model=pat@1\n--model-artifact=u\n--model-digest=d")
	f.Add("--run=r\n-shards\n0x2\n--start=a\n--end=b\n--analyses=,\n--on-existing=Replace\n--manifest=m\n--manifest-digest=d\n--all=false")
	f.Add("--run=\n--subject=x")
	f.Fuzz(func(t *testing.T, line string) {
		a, err := ParseShardArgs(strings.Split(line, "\n"), io.Discard)
		if err != nil {
			return
		}
		again, err := ParseShardArgs(a.Flags(), io.Discard)
		if diff := cmp.Diff(a, again); err != nil || diff != "" {
			t.Errorf("written and read again: %v (-first +second):\n%s", err, diff)
		}
	})
}

func TestAPodKnowsItsShardAndItsAttempt(t *testing.T) {
	tests := map[string]struct {
		env  map[string]string
		want ShardPod
		says string // "" for no error
	}{
		"the first attempt":           {map[string]string{EnvCompletionIndex: "0"}, ShardPod{}, ""},
		"a later one":                 {map[string]string{EnvCompletionIndex: "7", EnvShardFailures: "2", EnvShardIgnoredFailures: "3", EnvPodUID: "u"}, ShardPod{7, 5, "u"}, ""},
		"no index":                    {map[string]string{EnvCompletionIndex: ""}, ShardPod{}, EnvCompletionIndex},
		"an index that is none":       {map[string]string{EnvCompletionIndex: "x"}, ShardPod{}, EnvCompletionIndex},
		"failures below zero":         {map[string]string{EnvShardFailures: "-1"}, ShardPod{}, EnvShardFailures},
		"failures that are none":      {map[string]string{EnvShardFailures: "many"}, ShardPod{}, EnvShardFailures},
		"disruptions beyond an int32": {map[string]string{EnvShardIgnoredFailures: "9999999999"}, ShardPod{}, EnvShardIgnoredFailures},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{EnvCompletionIndex: "0"}
			maps.Copy(env, tt.env)
			got, err := ParseShardPod(func(name string) string { return env[name] })
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %v, want one with %q", err, tt.says)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}
