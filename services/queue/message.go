package queue

import (
	"encoding/json"
	"fmt"
)

// JSON is a message whose body is the JSON of a value. Its NotBefore is
// the caller's to set.
func JSON(topic, key string, value any) (Message, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return Message{}, fmt.Errorf("encode message of %s: %w", topic, err)
	}
	return Message{Topic: topic, Key: key, Body: body}, nil
}
