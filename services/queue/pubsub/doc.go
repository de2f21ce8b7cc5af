// Package pubsub is the queue over Google Cloud Pub/Sub. What Pub/Sub has no place
// for (messages that wait for minutes, dead letters that can be listed, how often a
// message took its process down, an open circuit) is kept in documents of a store.
//
// # What it keeps where
//
// A topic is the Pub/Sub topic PREFIX+topic, a consumer of it the subscription
// PREFIX+topic.consumer. Each is ordered, has an ack deadline of 60 s, retains for
// seven days, backs off from 1 to 60 s, and hands what came a hundred times without
// an ack to the topic PREFIX+topic.lost: a net below our own counting, which is
// alarmed on and never read by code. Prepare makes them for development; in the
// cloud they are made with the project.
//
// The ordering key is the message's key and the body its data, both as they are:
// who opens the driver hands it pseudonyms and sealed bodies (package veil). The
// client's own tracing stays off, since its spans carry the key. Attributes say
// what else there is to know:
//
//	form      1; what has another form waits for a process that knows it
//	for       the one consumer, of what was put off, fell or was replayed
//	nb, wait  NotBefore, and how long it was ahead, in nanoseconds
//	at        when it was first published, in nanoseconds
//	attempt   deliveries before, as far as they ended with a verdict
//	failed    those of them that failed
//	fell      handlers that it took down
//	traceparent the message's Trace, as W3C's Trace Context names it
//
// The documents are of the collection agenda, in a place of the queue's own: not
// the one of people's, where other programs look at the agenda. Their uids are
// those of subscriptions, as topic:consumer for letters and topic:consumer:LANE
// for all else, the lane being one of four, by the message's key. Keys begin with
// a time of 16 hexadecimal digits, in microseconds, so that a list of them is in its order:
//
//	later:DUE:ID        a message that waits for longer than ten seconds
//	dead:DIED:MESSAGE   a dead letter, kept for 30 days
//	tried:DUE:MESSAGE   how often a message is in hand alone and was not settled
//	circuit             until when the receivers of the subscription pause
//
// # Delivery
//
// A delivery is leased by the client, which extends it by the subscription's
// lease, of 10 s at least. Four times the concurrency is asked for. A retry of ten
// seconds at most, and a NotBefore, is held in the lease, as long as half of what
// was asked for is not: its key waits, others go on. What waits longer is written to
// later and acked, and is published again by a receiver of the subscription once it is
// due: claimed by moving its time on under its version, published, and then deleted, so
// that a crash in between publishes it twice. What waits for a hand is written to
// later after half an hour, so that an outage of days makes no redelivery. Where
// the store is away, too, it is held instead, for two hours in all.
//
// A process that was stopped for longer than a lease finds out by its clock: the
// contexts of its handlers end, and what they say is ignored. One that is cut off
// from the service alone does not find out, and its messages are handled twice.
//
// Attempts are counted where there is a verdict. A handler that panics or ends its
// goroutine is counted in the message. A process that dies says nothing: what
// Pub/Sub delivers for the third time is suspect, handled alone in its process,
// and counted in a document before it is. What one redelivers for other reasons
// is handled alone, too, and never counted.
//
// # What one call costs
//
//	Publish            1 RPC a key and two milliseconds; 1 write a consumer where NotBefore is more than 10 s ahead
//	a delivery         its part of the stream, of one receipt and one ack a tenth of a second
//	put off for longer 1 write; when due 1 read, 2 writes, 1 RPC
//	a receiver, idle   in 2 s 1 query where the store tells which shards stir, else 4
//	a receiver, opened what waits in later, read once
//	Dead               what it lists; Replay 1 read, 2 writes; Drop 1 read, 1 write
//	Depth              1 RPC of Cloud Monitoring for all subscriptions in Config.CountEvery, and 5 counts
//	Forget             1 RPC, and of each subscription its letters and one lane of later
//	Ready              1 RPC in ten seconds, none where something was published
//
// # Errors
//
// An error is a fault with the gRPC code for its code, never with the service's
// words, which carry names and keys. ResourceExhausted is a limit, InvalidArgument broken,
// every other unavailable. A fault of the store stays the store's.
//
// # Limits
//
// Depth.Leased is what this process has in hand. Depth is as old as Cloud
// Monitoring is, two to four minutes. A message that is on its way, or held in a
// lease, is not forgotten. Between the receipt of a
// message and the first ten seconds a dead process's messages come back after the
// lease. Where an ack is lost the message comes again.
//
// # What was never run on Google's own
//
// All of it: the suite runs over pstest and over hack/emulators/pubsubd, which are
// no proof of quotas, of the fairness between keys, of a backlog's speed, of
// retention, or of how late Monitoring is. To run the suite there see the test file.
package pubsub
