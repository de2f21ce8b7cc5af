package memory

import "testing"

func TestPoolsKeepLargeBuffersForAWhile(t *testing.T) {
	p := NewPool(100)
	if b := p.Get(100); b == nil || len(*b) != 0 {
		t.Errorf("%v", b)
	}
	large := p.Get(101)
	if cap(*large) != 101 || len(*large) != 0 {
		t.Errorf("a buffer for 101 bytes has room for %d", cap(*large))
	}
	*large = append(*large, "used"...)
	p.Put(large)
	if again := p.Get(101); again != large || len(*again) != 0 {
		t.Error("a large buffer is not used again")
	}
	p.Put(large)
	if more := p.Get(102); more == large || cap(*more) != 102 {
		t.Error("a buffer that is too small is handed out")
	}
	for range 5 { // two are kept, the rest is garbage
		b := make([]byte, 0, 200)
		p.Put(&b)
	}
	if len(p.large) != 2 {
		t.Errorf("%d large buffers are kept", len(p.large))
	}
	p.drop()
	p.drop()
	p.drop()
	if len(p.large) != 0 {
		t.Errorf("%d large buffers are left", len(p.large))
	}
	small := append(make([]byte, 0, 100), "used"...)
	p.Put(&small)
	if len(p.large) != 0 {
		t.Error("a small buffer is kept as a large one")
	}
	for range 100 {
		if b := p.Get(1); len(*b) != 0 {
			t.Fatalf("a buffer comes with %q", *b)
		}
	}
}
