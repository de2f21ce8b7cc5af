package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/services/health"
)

const uploadHelp = `Acts as the phone: reads the files as a stream, cuts them into uploads of at most
2,000 samples, and puts each until it is acked. Formats: Apple Health export.xml
or export.zip, Health Auto Export JSON, FHIR Observations, clarity.upload/1 and clarity.series/1, an export
of the platform's (a person without a profile gets the one in it); each also gzipped. Upload ids come from the content, so a second run adds nothing.
Every record gets a verdict; the summary counts them, --verdicts lists them.`

func uploadFiles(ctx context.Context, c *call) error {
	fs := c.flags(uploadHelp)
	to := c.targetFlags(fs)
	u := &uploader{call: c, now: time.Now}
	consent := fs.Bool("consent", true, "agree to the processing for a local person who was never asked; false refuses")
	fs.StringVar(&u.zone, "zone", "UTC", "IANA `ZONE` of records that name none")
	fs.BoolVar(&u.verdicts, "verdicts", false, "list the verdict of each record")
	fs.BoolVar(&u.asJSON, "json", false, "one JSON object a file instead of text")
	fs.BoolVar(&u.wait, "wait", false, "wait until everything is merged and analysed")
	files, err := c.parse(fs)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usagef("upload needs at least one FILE")
	}
	if _, err := health.LoadZone(u.zone); err != nil {
		return usagef("--zone is an IANA time zone such as Europe/Berlin, not %q", u.zone)
	}
	client, local, err := to.connect(ctx, c)
	if err != nil {
		return err
	}
	defer client.Close()
	u.client = client
	if err := u.agree(ctx, local && *consent); err != nil {
		return err
	}
	for _, name := range files {
		report, err := u.file(ctx, name)
		if report != nil {
			u.print(report)
		}
		if err != nil {
			return fmt.Errorf("upload %s: %w", name, err)
		}
	}
	return nil
}

// An uploader puts files.
type uploader struct {
	*call
	client                 *phone.Client
	zone                   string
	verdicts, asJSON, wait bool
	now                    func() time.Time
}

// agree makes sure there is consent; it never overrules a no.
func (u *uploader) agree(ctx context.Context, mayGrant bool) error {
	answer, err := processingConsent(ctx, u.client)
	switch {
	case err != nil:
		return err
	case answer.Granted:
		return nil
	case answer.At != nil:
		return errors.New("the person withdrew the consent to processing; only PUT /v1/consents/processing grants it again")
	case !mayGrant:
		return errors.New("the person has not agreed to the processing; PUT /v1/consents/processing, or, where the token is made here (--data, without --token), upload with --consent")
	}
	say(u.stderr, "Agreeing to the processing of this local person's data (consent %q, version %s).\n", "processing", consentVersion)
	return grantConsent(ctx, u.client)
}

// A fileReport is what became of one file. Every record is in exactly one of
// Accepted, Rejected and Skipped.
type fileReport struct {
	File     string         `json:"file"`
	Records  int            `json:"records"`
	Accepted int            `json:"accepted"`
	Rejected map[string]int `json:"rejected"`           // by code
	Skipped  map[string]int `json:"skipped"`            // by reason
	Warnings map[string]int `json:"warnings,omitempty"` // by code: of records that were accepted all the same
	Deleted  int            `json:"deletions"`
	Profile  bool           `json:"profile,omitempty"` // an export's was taken
	Uploads  []string       `json:"uploads"`           // ids of the acked, in order
	Verdicts []verdict      `json:"verdicts,omitempty"`
	Merged   *mergeReport   `json:"merged,omitempty"` // with --wait
}

// A mergeReport is what the platform did with a file's uploads.
type mergeReport struct {
	Added      int      `json:"added"`
	Replaced   int      `json:"replaced,omitempty"` // took the place of another version of their uuid
	Duplicates int      `json:"duplicates"`
	Deleted    int      `json:"deleted"`
	Days       int      `json:"days"`
	Weeks      []string `json:"weeks"` // windows analysed, by their last day
}

// A verdict is what became of one record.
type verdict struct {
	Place   string `json:"place"`
	Type    string `json:"type,omitempty"`
	Verdict string `json:"verdict"`
	Code    string `json:"code,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func (u *uploader) print(r *fileReport) {
	if u.asJSON {
		data, err := json.Marshal(r)
		if err == nil {
			say(u.stdout, "%s\n", data)
		}
		return
	}
	say(u.stdout, "%s: %s records read, %s accepted", r.File, group(r.Records), group(r.Accepted))
	printCounts(u, "rejected", r.Rejected)
	printCounts(u, "skipped", r.Skipped)
	if len(r.Warnings) > 0 {
		printCounts(u, "accepted with a warning", r.Warnings)
	}
	if r.Deleted > 0 {
		say(u.stdout, ", %s deletions", group(r.Deleted))
	}
	say(u.stdout, "; %d %s acked\n", len(r.Uploads), plural(len(r.Uploads), "upload"))
	if m := r.Merged; m != nil {
		replaced := ""
		if m.Replaced > 0 {
			replaced = group(m.Replaced) + " replaced, "
		}
		say(u.stdout, "  merged: %s added, %s%s there already, %s deleted, in %d days; %d weeks analysed\n", group(m.Added), replaced, group(m.Duplicates), group(m.Deleted), m.Days, len(m.Weeks))
	}
}
