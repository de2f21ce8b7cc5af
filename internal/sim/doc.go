// Package sim is a simulator of the whole platform: every stage, three replicas
// of each, over drivers that keep the words of their contracts and no more, on a
// clock that is not the machine's. It is all tests; docs/development/simulation.md
// tells how it works, what it cannot show and how to read a failure.
package sim
