package gcs

import "time"

// Within has a call end sooner than CallTimeout.
func (s *Store) Within(d time.Duration) { s.within = d }
