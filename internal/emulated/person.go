package emulated

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Person makes an account of the uid and is its ID token, good for an hour.
func (c *Cloud) Person(ctx context.Context, uid string) (token string, err error) {
	at := "http://" + c.Address(Auth) + "/identitytoolkit.googleapis.com/v1/"
	who := map[string]any{"localId": uid, "email": uid + "@example.com", "password": "password of " + uid, "returnSecureToken": true}
	if err := ask(ctx, http.MethodPost, at+"projects/"+Project+"/accounts", who, nil); err != nil {
		return "", fmt.Errorf("make an account: %w", err)
	}
	delete(who, "localId")
	var in struct {
		IDToken string `json:"idToken"`
	}
	if err := ask(ctx, http.MethodPost, at+"accounts:signInWithPassword", who, &in); err != nil {
		return "", fmt.Errorf("sign in: %w", err)
	}
	return in.IDToken, nil
}

// Revoke ends the sign-ins of the uid, as who administers the project does: what was
// signed in before this second counts no more.
func (c *Cloud) Revoke(ctx context.Context, uid string) error {
	what := map[string]any{"localId": uid, "validSince": strconv.FormatInt(time.Now().Unix(), 10)}
	return ask(ctx, http.MethodPost, "http://"+c.Address(Auth)+"/identitytoolkit.googleapis.com/v1/projects/"+Project+"/accounts:update", what, nil)
}

// ask sends JSON to a peer, as one who may all, and reads its answer into the last.
func ask(ctx context.Context, method, url string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer owner")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s", method, url, res.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(into)
}
