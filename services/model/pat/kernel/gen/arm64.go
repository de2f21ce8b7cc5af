package main

func arm64() string {
	a := &asm{}
	a.header("")
	return a.String()
}
