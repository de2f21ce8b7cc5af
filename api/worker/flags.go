package worker

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// flags is the flag set of a command, which tells nobody by itself.
func flags(command string) *flag.FlagSet {
	fs := flag.NewFlagSet("worker "+command, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

// artifactFlags are --PREFIX-uri and --PREFIX-digest.
func artifactFlags(fs *flag.FlagSet, prefix string, a *Artifact) {
	fs.StringVar(&a.URI, prefix+"-uri", "", "where it is: a `URI` of file://, gs:// or oci://")
	fs.StringVar(&a.Digest, prefix+"-digest", "", "its `DIGEST`, sha256:…")
}

func (a Artifact) flags(prefix string) []string {
	return []string{"--" + prefix + "-uri=" + a.URI, "--" + prefix + "-digest=" + a.Digest}
}

// parse reads the command's arguments and names every flag of required that says
// nothing. The flags are printed to help where that is asked for; the error is
// flag.ErrHelp then.
func parse(fs *flag.FlagSet, args []string, help io.Writer, required ...string) error {
	command := strings.TrimPrefix(fs.Name(), "worker ")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fs.SetOutput(help)
		fs.Usage()
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%s takes no argument, got %.40q", command, fs.Arg(0))
	}
	var missing []string
	for _, name := range required {
		if fs.Lookup(name).Value.String() == "" {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s needs %s", command, strings.Join(missing, ", "))
	}
	return nil
}
