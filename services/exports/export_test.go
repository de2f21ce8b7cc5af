package exports

import "time"

// Paced is the stage with other turns and parts.
func (s *Stage) Paced(turn time.Duration, partBytes int) *Stage {
	s.turn, s.partBytes = turn, partBytes
	return s
}
