// Package devices is which of a person's devices are woken when there is something new.
package devices

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/ingress/internal/problem"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/ingress/internal/route"
	"github.com/clarity-loop/clarity/services/record/device"
	"github.com/clarity-loop/clarity/services/store"
)

// The codes of who has as many devices as there can be, and of a platform that wakes none.
const (
	TooManyDevices problem.Code = "409 too_many_devices"
	NotWoken       problem.Code = "409 devices_not_woken"
)

// Needs is what the devices need.
type Needs struct {
	Devices store.Collection[device.Devices]
	Store   interface {
		Batch(ctx context.Context, uid string, changes ...store.Change) ([]int64, error)
	}
	// Accounts have what is stored rest on how the person stands.
	Accounts interface {
		StoringConsented(ctx context.Context, uid string, write func(demand store.Change) error) error
	}
	// Woken says that somebody wakes devices: without, no token is taken.
	Woken bool
	Now   func() time.Time
}

// A Room answers a person's devices.
type Room struct{ Needs }

// New is the room.
func New(n Needs) *Room { return &Room{n} }

const putDetail = "From then on it is sent a data message by Firebase Cloud Messaging when there is something new while it sleeps: `{\"event\", \"last\"}`, the kind of the newest event and its number, and nothing of what it holds.\n" +
	"One in some minutes at most, and none without the consent `processing`. Register again whenever Firebase says a new token. The token is kept sealed, is in no reply, and goes with the device, with the account, or when Firebase says that it is of no device any more.\n" +
	"The id is the installation's own choice. Where the platform wakes nobody no token is taken: `devices_not_woken`."

// Routes are the room's operations.
func (r *Room) Routes() []route.Route {
	return []route.Route{
		{Method: "GET", Path: "/v1/devices", ID: "listDevices", Tag: "person", Summary: "The devices that are woken", Mount: route.Typed(r.list)},
		{Method: "PUT", Path: "/v1/devices/{deviceId}", ID: "putDevice", Tag: "person", Summary: "Have a device be woken", Detail: putDetail, Body: route.JSONBody, Status: 204,
			Problems: []problem.Code{problem.ConsentRequired, TooManyDevices, NotWoken, problem.VersionConflict}, Mount: route.Typed(r.put)},
		{Method: "DELETE", Path: "/v1/devices/{deviceId}", ID: "deleteDevice", Tag: "person", Summary: "Have a device be woken no more", Detail: "One that is not there is gone, too. Do so when somebody signs out.", Status: 204,
			Problems: []problem.Code{problem.VersionConflict}, Mount: route.Typed(r.delete)},
	}
}

// A deviceView is a device, without where it is reached.
type deviceView struct {
	DeviceID     string      `json:"deviceId"`
	RegisteredAt reply.Time  `json:"registeredAt"`
	WokenAt      *reply.Time `json:"wokenAt,omitempty" doc:"when it was sent a message last"`
}

// views are by rising ids.
func views(d device.Devices) []deviceView {
	all := make([]deviceView, 0, len(d.All))
	for id, one := range d.All {
		all = append(all, deviceView{id, reply.Time(one.RegisteredAt), reply.TimeOrNil(one.Woken)})
	}
	slices.SortFunc(all, func(a, b deviceView) int { return strings.Compare(a.DeviceID, b.DeviceID) })
	return all
}

// Exported is what is held of a person's devices, for an export: no token is in it.
func Exported(devices store.Collection[device.Devices]) reply.Section {
	return reply.Section{Name: "device", Each: func(ctx context.Context, uid, after string, line reply.Line) error {
		return reply.EachRecord(ctx, devices, uid, "", func(r store.Record[device.Devices]) error {
			for _, one := range views(r.Value) {
				if one.DeviceID <= after {
					continue
				}
				if err := line("device", one.DeviceID, one); err != nil {
					return err
				}
			}
			return nil
		})
	}}
}

type devicesOutput struct {
	Body struct {
		Items []deviceView `json:"items" nullable:"false"`
	}
}

func (r *Room) list(ctx context.Context, _ *struct{}) (*devicesOutput, error) {
	found, err := r.read(ctx, reply.UID(ctx))
	if err != nil {
		return nil, err
	}
	out := &devicesOutput{}
	out.Body.Items = views(found.Value)
	return out, nil
}

// read is the person's record; of who has none version 0.
func (r *Room) read(ctx context.Context, uid string) (store.Record[device.Devices], error) {
	found, err := r.Devices.Get(ctx, uid, device.Key)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return found, err
}

type registerInput struct {
	DeviceID string `path:"deviceId" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]{1,64}$" example:"5f0c9e7a-phone"`
	Body     struct {
		Token string `json:"token" minLength:"1" maxLength:"4096" pattern:"^[!-~]+$" doc:"of this installation, as Firebase's SDK says it" example:"cJ9xT0kq:APA91bE"`
	}
}

func (r *Room) put(ctx context.Context, in *registerInput) (*struct{}, error) {
	if !r.Woken {
		return nil, problem.New(NotWoken, "this platform wakes no device; listen to the events")
	}
	uid := reply.UID(ctx)
	return nil, r.Accounts.StoringConsented(ctx, uid, func(demand store.Change) error {
		return r.change(ctx, uid, func(d device.Devices) (device.Devices, error) {
			one, there := d.All[in.DeviceID]
			if there && one.Token == in.Body.Token {
				return d, nil
			}
			next := d.With(in.DeviceID, device.Device{Token: in.Body.Token, RegisteredAt: r.Now().UTC(), Woken: one.Woken})
			if len(next.All) > device.Most {
				return d, problem.OverLimit(TooManyDevices, "there are as many devices as a person has woken; delete one", "devices", device.Most)
			}
			return next, nil
		}, demand)
	})
}

// tries is how often the record is written that others change meanwhile.
const tries = 8

// change writes what to makes of the record, unless that is nothing new.
func (r *Room) change(ctx context.Context, uid string, to func(device.Devices) (device.Devices, error), with ...store.Change) error {
	for range tries {
		found, err := r.read(ctx, uid)
		if err != nil {
			return err
		}
		next, err := to(found.Value)
		if err != nil {
			return err
		}
		if maps.Equal(next.All, found.Value.All) {
			return nil
		}
		_, err = r.Store.Batch(ctx, uid, append([]store.Change{r.Devices.ToPut(device.Key, found.Version, next)}, with...)...)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		now, err := r.read(ctx, uid)
		if err != nil {
			return err
		}
		if now.Version == found.Version { // it is over how the person stands
			return store.ErrConflict
		}
	}
	return store.ErrConflict
}

type oneInput struct {
	DeviceID string `path:"deviceId" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._-]{1,64}$" example:"5f0c9e7a-phone"`
}

func (r *Room) delete(ctx context.Context, in *oneInput) (*struct{}, error) {
	uid := reply.UID(ctx)
	found, err := r.read(ctx, uid)
	if err != nil {
		return nil, err
	}
	if _, there := found.Value.All[in.DeviceID]; !there {
		return nil, nil //nolint:nilnil // no body
	}
	return nil, r.change(ctx, uid, func(d device.Devices) (device.Devices, error) { return d.Without(in.DeviceID), nil })
}
