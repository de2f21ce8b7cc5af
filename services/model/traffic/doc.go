// Package traffic has a model's requests answered by the versions that a plan
// says: the Router follows the plans that a Source tells, connects to the
// versions, counts how they do, and has the shadow's copies answered apart. What
// a plan is, and who is in which bucket of it, stands in api/traffic.
package traffic
