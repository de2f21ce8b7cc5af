package worker

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
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

// inWords is what the library says of a flag, with two dashes, and with what the
// flag asks for in the place of "parse error".
func inWords(fs *flag.FlagSet, err error) string {
	text := strings.ReplaceAll(err.Error(), " -", " --")
	said, unread := strings.CutSuffix(text, ": parse error")
	_, name, _ := strings.Cut(said[strings.LastIndex(said, " "):], " --")
	f := fs.Lookup(name)
	if !unread || f == nil {
		return text
	}
	asked := "a whole number"
	switch f.Value.(flag.Getter).Get().(type) { // every flag of the library is one
	case time.Duration:
		asked = "a duration such as 3s"
	case bool:
		asked = "true or false"
	}
	return said + ", which is " + asked
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
		return fmt.Errorf("%s: %s", command, inWords(fs, err))
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
