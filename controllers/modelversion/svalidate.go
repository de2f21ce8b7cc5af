package modelversion

import (
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

func (s ServingClass) validate(f *faults, name string) {
	field := "servingClasses." + name
	f.name("servingClasses", name, validation.IsDNS1123Label)
	f.image(field+".image", s.Image)
	f.resources(field+".resources", s.Resources)
	f.within(field+".startTimeout", s.StartTimeout, time.Second, 24*time.Hour)
	if s.Scratch.Sign() < 0 {
		f.add("%s.scratch %s must not be negative", field, s.Scratch.String())
	}
	if a := s.Autoscaling; a != nil && (a.Metric == "" || a.AverageValue.Sign() <= 0) {
		f.add("%s.autoscaling needs a metric and an averageValue above 0", field)
	}
	switch s.Sharing.Mode {
	case "", SharingWhole, SharingMIG, SharingMPS, SharingTimeSlice:
	default:
		f.add("%s.sharing.mode %q is none of Whole, MIG, MPS and TimeSlice", field, s.Sharing.Mode)
	}
	if (s.Sharing.Mode == SharingMIG) != (s.Sharing.Partition != "") {
		f.add("%s.sharing.partition is required for MIG, and for it alone", field)
	}
	if s.Sharing.Clients < 0 || s.Sharing.Clients > 0 && s.Sharing.Mode != SharingMPS && s.Sharing.Mode != SharingTimeSlice {
		f.add("%s.sharing.clients is for MPS and TimeSlice, and not negative", field)
	}
}
