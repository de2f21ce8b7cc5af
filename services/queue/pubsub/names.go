package pubsub

import (
	"path"
	"strings"
)

// lost is the name of what stands where a subscription's would, for messages that
// Pub/Sub has given up.
const lost = "lost"

// names are the resources' names.
type names struct{ project, prefix string }

func (n names) topic(topic string) string {
	return "projects/" + n.project + "/topics/" + n.prefix + topic
}

func (n names) subscription(s subscription) string {
	return "projects/" + n.project + "/subscriptions/" + n.prefix + s.topic + "." + s.consumer
}

// parse is the subscription of the name; ok is false for one that is not ours.
func (n names) parse(name string) (s subscription, ok bool) {
	own, ok := strings.CutPrefix(path.Base(name), n.prefix)
	if !ok {
		return s, false
	}
	topic, consumer, ok := strings.Cut(own, ".")
	if !ok || consumer == lost || !legalName.MatchString(topic) || !legalName.MatchString(consumer) {
		return s, false
	}
	return subscription{topic, consumer}, true
}
