package batch

// Waiting counts the items nobody has taken yet.
func (c *Committer[T]) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting)
}

// Done is closed when the goroutine has returned.
func (c *Committer[T]) Done() <-chan struct{} { return c.done }
