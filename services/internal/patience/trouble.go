package patience

// mostRest is how many looks at most are left out behind one that came to nothing.
const mostRest = 24

// A Trouble is what goes wrong in a row of looks at the same thing: it is said once,
// and looked at ever more rarely. The zero Trouble is none.
type Trouble struct {
	reason string
	rest   int // of those that are left out
	last   int // how many were behind the look before
}

// Rests says whether the look whose time has come is left out.
func (t *Trouble) Rests() bool {
	if t.rest == 0 {
		return false
	}
	t.rest--
	return true
}

// Saw takes note of why a look failed, "" for not at all, and whether anything was done
// by it all the same. It says whether that is news.
func (t *Trouble) Saw(reason string, done bool) (news bool) {
	news = reason != t.reason
	t.reason = reason
	if reason == "" || done {
		t.rest, t.last = 0, 0
		return news
	}
	t.last = min(2*t.last+1, mostRest)
	t.rest = t.last
	return news
}
