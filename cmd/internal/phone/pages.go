package phone

import (
	"context"
	"fmt"
	"net/url"
)

// Pages reads the list at the path to its end.
func Pages[T any](ctx context.Context, client *Client, path string) ([]T, error) {
	var all []T
	for query := "?limit=200"; ; {
		var page struct {
			Items []T
			Next  string
		}
		if err := client.Get(ctx, path+query, &page); err != nil {
			return nil, fmt.Errorf("list %s: %w", path, err)
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, nil
		}
		query = "?limit=200&cursor=" + url.QueryEscape(page.Next)
	}
}
