package emulated

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// apply makes what config/ says. Of Firestore these are the rules: hidane knows no
// indexes.
func (c *Cloud) apply(ctx context.Context) error {
	for _, part := range []struct {
		name string
		make func(context.Context) error
	}{{"firestore", c.rules}, {"pubsub", c.topics}, {"gcs", c.buckets}} {
		if err := part.make(ctx); err != nil {
			return fmt.Errorf("apply config/%s: %w", part.name, err)
		}
	}
	return nil
}

func (c *Cloud) config(parts ...string) ([]byte, error) {
	return os.ReadFile(filepath.Join(append([]string{c.options.Root, "config"}, parts...)...)) //nolint:gosec // the repository's own
}

// rules have phones read their feeds and nothing else. Each database has its own; nobody
// but a server reads one that has none, as in the cloud.
func (c *Cloud) rules(ctx context.Context) error {
	text, err := c.config("firestore", "firestore.rules")
	if err != nil {
		return err
	}
	const none = "rules_version = '2'; service cloud.firestore { match /databases/{database}/documents { match /{document=**} { allow read, write: if false; } } }"
	for database, content := range map[string]string{documents: string(text), keys: none, messages: none} {
		database = strings.Replace(database, "/", "/databases/", 1)
		err := ask(ctx, http.MethodPut, "http://"+c.Address(Firestore)+"/emulator/v1/projects/"+database+":securityRules",
			map[string]any{"rules": map[string]any{"files": []any{map[string]string{"name": "firestore.rules", "content": content}}}}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// buckets are those of objects and of the audit log.
func (c *Cloud) buckets(ctx context.Context) error {
	for name, file := range map[string]string{objects: "bucket.json", trail: filepath.Join("audit", "bucket.json")} {
		text, err := c.config("gcs", file)
		if err != nil {
			return err
		}
		var bucket map[string]any
		if err := json.Unmarshal(text, &bucket); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		bucket["name"] = name
		if err := ask(ctx, http.MethodPost, "http://"+c.Address(Storage)+"/storage/v1/b?project="+Project, bucket, nil); err != nil {
			return err
		}
	}
	return nil
}

// topics makes the topics and their subscriptions.
func (c *Cloud) topics(ctx context.Context) error {
	conn, err := grpc.NewClient(c.Address(PubSub), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	topics, err := listed[pubsubpb.Topic](c, "topics.json")
	if err != nil {
		return err
	}
	publisher := pubsubpb.NewPublisherClient(conn)
	for _, t := range topics {
		t.Name = topicName(t.GetName())
		if _, err := publisher.CreateTopic(ctx, t); err != nil {
			return fmt.Errorf("make the topic %s: %w", t.GetName(), err)
		}
	}
	subscriptions, err := listed[pubsubpb.Subscription](c, "subscriptions.json")
	if err != nil {
		return err
	}
	subscriber := pubsubpb.NewSubscriberClient(conn)
	for _, s := range subscriptions {
		s.Name, s.Topic = "projects/"+Project+"/subscriptions/"+s.GetName(), topicName(s.GetTopic())
		if dead := s.GetDeadLetterPolicy(); dead != nil {
			dead.DeadLetterTopic = topicName(dead.GetDeadLetterTopic())
		}
		if _, err := subscriber.CreateSubscription(ctx, s); err != nil {
			return fmt.Errorf("make the subscription %s: %w", s.GetName(), err)
		}
	}
	return nil
}

func topicName(short string) string { return "projects/" + Project + "/topics/" + short }

// listed is a list of config/pubsub.
func listed[T any, P interface {
	*T
	proto.Message
}](c *Cloud, file string) ([]P, error) {
	text, err := c.config("pubsub", file)
	if err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	all := make([]P, len(raw))
	for i, one := range raw {
		all[i] = new(T)
		if err := protojson.Unmarshal(one, all[i]); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	}
	return all, nil
}
