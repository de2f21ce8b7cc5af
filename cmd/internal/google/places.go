package google

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	auditgcs "github.com/clarity-loop/clarity/services/audit/gcs"
	"github.com/clarity-loop/clarity/services/identity/appcheck"
	"github.com/clarity-loop/clarity/services/identity/firebase"
	"github.com/clarity-loop/clarity/services/keyring/kms"
	"github.com/clarity-loop/clarity/services/narrative/gemini"
	"github.com/clarity-loop/clarity/services/push/fcm"
	"github.com/clarity-loop/clarity/services/store/firestore"
)

// The forms of what stands behind a driver's name.
const (
	formStore    = "firestore:PROJECT/DATABASE"
	formQueue    = "pubsub:PROJECT/DATABASE?prefix=PREFIX&endpoint=HOST:PORT"
	formBlobs    = "gcs:BUCKET"
	formKeys     = "kms:projects/P/locations/L/keyRings/R/cryptoKeys/K?documents=PROJECT/DATABASE"
	formFeed     = "firestore:PROJECT/DATABASE?content=true|false"
	formPush     = "fcm:PROJECT"
	formAudit    = "gcs:BUCKET?perSecond=N"
	formWriter   = "gemini:PROJECT/LOCATION/MODEL?perMinute=N"
	formIdentity = "firebase:PROJECT?tenants=TENANT,TENANT&appcheck=report|enforce&number=PROJECT_NUMBER&apps=APP,APP"
)

var (
	projectForm  = regexp.MustCompile(`^[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	databaseForm = regexp.MustCompile(`^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$`)
	bucketForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)
	prefixForm   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}$`)
	endpointForm = regexp.MustCompile(`^[a-z0-9.-]+:[0-9]+$`)
)

// A database is one of Firestore.
type database struct{ project, name string }

func (d database) config() firestore.Config {
	return firestore.Config{Project: d.project, Database: d.name}
}

func databaseOf(at string) (database, error) {
	project, name, _ := strings.Cut(at, "/")
	if !projectForm.MatchString(project) || !databaseForm.MatchString(name) {
		return database{}, errors.New("it names no PROJECT/DATABASE")
	}
	return database{project, name}, nil
}

// optionsOf are the settings behind the question mark, each once.
func optionsOf(text string, known ...string) (map[string]string, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, errors.New("what is behind ? is NAME=VALUE&NAME=VALUE")
	}
	options := map[string]string{}
	for name, all := range values {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no setting %.20q; it has %s", name, strings.Join(known, ", "))
		}
		if len(all) != 1 {
			return nil, fmt.Errorf("%s is set %d times", name, len(all))
		}
		options[name] = all[0]
	}
	return options, nil
}

// topics are where the messages are.
type topics struct {
	database
	prefix, endpoint string
}

func topicsOf(at string) (t topics, err error) {
	place, settings, _ := strings.Cut(at, "?")
	if t.database, err = databaseOf(place); err != nil {
		return t, err
	}
	options, err := optionsOf(settings, "prefix", "endpoint")
	t.prefix, t.endpoint = options["prefix"], options["endpoint"]
	switch {
	case err != nil:
		return t, err
	case t.prefix != "" && !prefixForm.MatchString(t.prefix):
		return t, errors.New("prefix is what names begin with, as clarity-")
	case t.endpoint != "" && !endpointForm.MatchString(t.endpoint):
		return t, errors.New("endpoint is HOST:PORT of a region, as europe-west3-pubsub.googleapis.com:443")
	}
	return t, nil
}

// A wrapping is the key that wraps, and where what it wraps is kept.
type wrapping struct {
	key       string
	documents database
}

func wrappingOf(at string) (w wrapping, err error) {
	place, settings, _ := strings.Cut(at, "?")
	w.key = place
	if err := (kms.Config{Key: w.key}).Validate(); err != nil {
		return w, err
	}
	options, err := optionsOf(settings, "documents")
	if err != nil {
		return w, err
	}
	if w.documents, err = databaseOf(options["documents"]); err != nil {
		return w, fmt.Errorf("documents: %w", err)
	}
	return w, nil
}

// who are the people and the apps that are let in.
type who struct {
	people firebase.Config
	apps   appcheck.Config
}

func peopleOf(at string) (w who, err error) {
	project, settings, _ := strings.Cut(at, "?")
	w.people.Project, w.apps.Mode = project, appcheck.Off
	options, err := optionsOf(settings, "tenants", "appcheck", "number", "apps")
	if err != nil {
		return w, err
	}
	if tenants, said := options["tenants"]; said {
		w.people.Tenants = strings.Split(tenants, ",")
	}
	mode, said := options["appcheck"]
	if !said && options["number"]+options["apps"] != "" {
		return w, errors.New("number and apps are of appcheck, which is not set: appcheck=report or appcheck=enforce")
	}
	if said {
		w.apps = appcheck.Config{Mode: appcheck.Mode(mode), Project: options["number"], Apps: strings.Split(options["apps"], ",")}
	}
	var checked error
	if err := w.apps.Validate(); err != nil {
		checked = fmt.Errorf("appcheck, its number and its apps: %w", err)
	}
	return w, errors.Join(w.people.Validate(), checked)
}

// Examples are of the drivers, by what they are of.
func Examples() map[string]string {
	return map[string]string{"store": "firestore:PROJECT/DATABASE", "queue": "pubsub:PROJECT/DATABASE", "blobs": formBlobs, "keys": formKeys,
		"identity": "firebase:PROJECT", "feed": "firestore:PROJECT/DATABASE", "push": formPush, "audit": formAudit, "writer": "template or gemini:PROJECT/LOCATION/MODEL"}
}

// Check tells what is wrong with the places of these drivers, as far as they are
// needed, and what would be right. It opens nothing.
func Check(b platform.Backends, needs capability.Set) error {
	var faults []error
	for _, row := range []struct {
		of               capability.Set
		what, spec, form string
		look             func(at string) error
	}{
		{capability.Store, "store", b.Store, formStore, func(at string) error { _, err := databaseOf(at); return err }},
		{capability.Queue, "queue", b.Queue, formQueue, func(at string) error { _, err := topicsOf(at); return err }},
		{capability.Blobs, "blobs", b.Blobs, formBlobs, checkBucket},
		{capability.Audit, "audit", b.Audit, formAudit, func(at string) error { _, err := logOf(at); return err }},
		{capability.Feed, "feed", b.Feed, formFeed, func(at string) error { _, err := followingOf(at); return err }},
		{capability.Push, "push", b.Push, formPush, func(at string) error { return fcm.Config{Project: at}.Validate() }},
		{capability.Keys | capability.Erasure, "keys", b.Keys, formKeys, func(at string) error { _, err := wrappingOf(at); return err }},
		{capability.Writer, "writer", b.Writer, formWriter, func(at string) error { _, err := gemini.Parse(at); return err }},
		{capability.Identity, "identity", b.Identity, formIdentity, func(at string) error { _, err := peopleOf(at); return err }},
	} {
		driver, _, _ := strings.Cut(row.form, ":")
		at, ours := strings.CutPrefix(row.spec, driver+":")
		if row.spec == driver {
			at, ours = "", true
		}
		if !ours || !needs.HasAny(row.of) {
			continue
		}
		if err := row.look(at); err != nil {
			faults = append(faults, &platform.ConfigError{Text: fmt.Sprintf("%s: %v: write %s", row.what, err, row.form)})
		}
	}
	if needs.Has(capability.Store | capability.Keys) {
		faults = append(faults, apart(b))
	}
	if bucket, _, _ := strings.Cut(b.Audit, "?"); needs.Has(capability.Blobs|capability.Audit) && b.Blobs == bucket && strings.HasPrefix(bucket, "gcs:") {
		faults = append(faults, &platform.ConfigError{Text: "audit: the bucket is the blobs', too: of one nothing may be removed, and of the other all that is deleted has to be gone"})
	}
	return errors.Join(faults...)
}

func checkBucket(at string) error {
	if !bucketForm.MatchString(at) {
		return errors.New("it names no bucket")
	}
	return nil
}

// logOf is where the audit log is, and how often it is written.
func logOf(at string) (c auditgcs.Config, err error) {
	bucket, settings, _ := strings.Cut(at, "?")
	if err := checkBucket(bucket); err != nil {
		return c, err
	}
	c.Bucket = bucket
	options, err := optionsOf(settings, "perSecond")
	if said, is := options["perSecond"]; err == nil && is {
		if c.PerSecond, err = strconv.Atoi(said); err != nil || c.PerSecond < 1 || c.PerSecond > auditgcs.MostPerSecond {
			err = fmt.Errorf("perSecond is 1 to %d objects of each process", auditgcs.MostPerSecond)
		}
	}
	return c, err
}

// apart refuses a database that has both what is sealed and the keys: its backups
// would keep both of who is erased.
func apart(b platform.Backends) error {
	documents, _ := strings.CutPrefix(b.Store, "firestore:")
	wrapped, _ := strings.CutPrefix(b.Keys, "kms:")
	people, one := databaseOf(documents)
	keys, two := wrappingOf(wrapped)
	if one == nil && two == nil && people == keys.documents {
		return &platform.ConfigError{Text: fmt.Sprintf("keys: the database %s is the store's, too: keys have one of their own, which is not backed up for long", people.name)}
	}
	return nil
}
