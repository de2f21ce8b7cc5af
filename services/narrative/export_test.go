package narrative

// Sayable lists the ids of the metrics that may be put into words, in the
// order of telling.
func Sayable() []string {
	ids := make([]string, 0, len(sayables()))
	for _, s := range sayables() {
		ids = append(ids, s.id)
	}
	return ids
}
