package ingress

import (
	"context"
	"slices"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/account"
	"github.com/clarity-loop/clarity/services/ingress/internal/devices"
	"github.com/clarity-loop/clarity/services/ingress/internal/events"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/results"
	"github.com/clarity-loop/clarity/services/ingress/internal/synced"
	"github.com/clarity-loop/clarity/services/ingress/internal/uploads"
	"github.com/clarity-loop/clarity/services/ingress/internal/waiting"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/vault"
)

// Held is where everything that is held of a person is read. All fields are required.
type Held struct {
	Store   *store.Store
	Objects *vault.Vault
	// Samples reads the samples of a day's chunk, Deleted the uuids of the
	// tombstones' object by rising order.
	Samples func(ctx context.Context, uid, chunk string) ([]health.Sample, error)
	Deleted func(ctx context.Context, uid, object string) ([]health.UUID, error)
	// Series reads the JSON of one series from the object that a day's record names.
	Series func(ctx context.Context, uid, object string, of health.UUID) ([]byte, error)
}

// Sections are everything that is held of a person, in the words of the API and the
// order of an export. An embedding is not among them: it never leaves the platform.
func (h Held) Sections() []reply.Section {
	st := h.Store
	apart := waiting.Held{Uploads: st.Uploads, Objects: h.Objects}
	res := results.Held{Days: st.Days, Results: st.Results, Insights: st.Insights, Tombstones: st.Tombstones, Samples: h.Samples, Deleted: h.Deleted, Series: h.Series}
	return slices.Concat(
		account.Exported(st.Profiles, st.Consents), []reply.Section{devices.Exported(st.Devices)}, uploads.Exported(st.Uploads), synced.Exported(st), res.Exported(),
		[]reply.Section{apart.Section()}, events.Exported(st.Events), []reply.Section{account.ExportedExports(st.Exports)},
	)
}
