package intake

// Tighten leaves the stage no room to keep a day from the plan until it is written.
func Tighten(s *Stage) { s.room = 0 }
