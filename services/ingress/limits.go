package ingress

import (
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/ingress/internal/limit"
)

// A Rate is how many requests are let through: Burst at once, PerSecond again.
// A Burst of 0 limits nothing.
type Rate = limit.Rate

// Limits bounds what one caller, and all together, can make the ingress do.
type Limits struct {
	BodyBytes      int           // of one request as received
	RecordBytes    int           // of an upload that lies in its record; a larger one is an object
	BodyRate       int           // bytes a second that a body brings at least, in every BodyWindow
	BodyWindow     time.Duration // the longest that a body may stand still
	Connections    int           // open at a time
	PerAddress     int           // of them from one address (IPv6: one /64)
	FirstByte      time.Duration // from a connection's opening to its first byte
	Unacked        time.Duration // how long what was sent may go unacknowledged until the client counts as gone
	ReadTimeout    time.Duration // for a request's headers, from their first byte
	WriteTimeout   time.Duration // for a reply, or one event of a stream
	IdleTimeout    time.Duration // between two requests
	HandlerTimeout time.Duration // for the work between request and reply

	UserRate    Rate // requests of one person
	AddressRate Rate // requests from one address (IPv6: one /64)

	StreamsPerUser   int           // open event streams of one person
	DownloadsPerUser int           // exports being downloaded by one person
	StreamLifetime   time.Duration // a stream is ended after this; a client takes it up again
	Heartbeat        time.Duration // between two signs of life on a quiet stream
	InsightsPerDay   int           // insights on demand, a person and UTC day
	PersonTTL        time.Duration // how long a change another process made may go unseen
}

// DefaultLimits are those of one process on one machine.
func DefaultLimits() Limits {
	return Limits{
		BodyBytes:        upload.MaxBodyBytes,
		RecordBytes:      256 << 10,
		BodyRate:         4 << 10,
		BodyWindow:       15 * time.Second,
		Connections:      4096,
		PerAddress:       512,
		FirstByte:        5 * time.Second,
		Unacked:          30 * time.Second,
		ReadTimeout:      30 * time.Second,
		WriteTimeout:     30 * time.Second,
		IdleTimeout:      75 * time.Second,
		HandlerTimeout:   15 * time.Second,
		UserRate:         Rate{PerSecond: 20, Burst: 200},
		AddressRate:      Rate{PerSecond: 200, Burst: 1000},
		StreamsPerUser:   8,
		DownloadsPerUser: 2,
		StreamLifetime:   15 * time.Minute,
		Heartbeat:        15 * time.Second,
		InsightsPerDay:   20,
		PersonTTL:        3 * time.Second,
	}
}

func (l Limits) validate() error {
	var faults []error
	positive := func(name string, v int64) {
		if v <= 0 {
			faults = append(faults, fmt.Errorf("ingress limit %s must be positive, is %d", name, v))
		}
	}
	positive("BodyBytes", int64(l.BodyBytes))
	positive("BodyRate", int64(l.BodyRate))
	positive("BodyWindow", int64(l.BodyWindow))
	positive("Connections", int64(l.Connections))
	positive("PerAddress", int64(l.PerAddress))
	positive("FirstByte", int64(l.FirstByte))
	positive("Unacked", int64(l.Unacked))
	positive("ReadTimeout", int64(l.ReadTimeout))
	positive("WriteTimeout", int64(l.WriteTimeout))
	positive("IdleTimeout", int64(l.IdleTimeout))
	positive("HandlerTimeout", int64(l.HandlerTimeout))
	positive("StreamsPerUser", int64(l.StreamsPerUser))
	positive("DownloadsPerUser", int64(l.DownloadsPerUser))
	positive("StreamLifetime", int64(l.StreamLifetime))
	positive("Heartbeat", int64(l.Heartbeat))
	positive("InsightsPerDay", int64(l.InsightsPerDay))
	positive("PersonTTL", int64(l.PersonTTL))
	if l.Heartbeat >= l.WriteTimeout {
		faults = append(faults, fmt.Errorf("ingress limit Heartbeat (%s) must be shorter than WriteTimeout (%s)", l.Heartbeat, l.WriteTimeout))
	}
	return errors.Join(faults...)
}
