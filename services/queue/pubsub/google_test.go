package pubsub_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	client "cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/iterator"

	"github.com/clarity-loop/clarity/services/queue/pubsub"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
)

// The suite over Google's own, in the project that CLARITY_CLOUD_PROJECT names, with
// the credentials of whoever runs it, who may make and delete topics there. Depths are
// counted at the clients' door: Cloud Monitoring's are minutes old. Topics are
// those of a prefix of this run, and go with it.
func TestSuiteOverGoogle(t *testing.T) {
	project := os.Getenv("CLARITY_CLOUD_PROJECT")
	if project == "" {
		t.Skip("no project to test in: set CLARITY_CLOUD_PROJECT")
	}
	run, n := fmt.Sprintf("suite-%d-", time.Now().Unix()), 0
	t.Cleanup(func() { tidyUp(t, project, run) })
	queuetest.Run(t, func(t *testing.T) queuetest.Opener {
		n++
		cfg := pubsub.Config{Project: project, Prefix: fmt.Sprintf("%s%d-", run, n), Endpoint: os.Getenv("CLARITY_CLOUD_PUBSUB")}
		return opener(t, counted(t, cfg), plain)
	})
}

// tidyUp deletes what has the prefix.
func tidyUp(t *testing.T, project, prefix string) {
	t.Helper()
	c, err := client.NewClient(background, project)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	subscriptions := c.SubscriptionAdminClient.ListSubscriptions(background, &pubsubpb.ListSubscriptionsRequest{Project: "projects/" + project})
	for {
		s, err := subscriptions.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(s.GetName(), "/"+prefix) {
			if err := c.SubscriptionAdminClient.DeleteSubscription(background, &pubsubpb.DeleteSubscriptionRequest{Subscription: s.GetName()}); err != nil {
				t.Error(err)
			}
		}
	}
	topics := c.TopicAdminClient.ListTopics(background, &pubsubpb.ListTopicsRequest{Project: "projects/" + project})
	for {
		topic, err := topics.Next()
		if errors.Is(err, iterator.Done) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(topic.GetName(), "/"+prefix) {
			if err := c.TopicAdminClient.DeleteTopic(background, &pubsubpb.DeleteTopicRequest{Topic: topic.GetName()}); err != nil {
				t.Error(err)
			}
		}
	}
}
