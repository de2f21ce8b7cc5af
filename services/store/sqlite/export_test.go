package sqlite

import "context"

// Hasty has the connection that writes not wait for another that does.
func (s *Store) Hasty() error {
	stmt, err := s.db.Prepare(context.Background(), "PRAGMA busy_timeout = 1")
	if err != nil {
		return err
	}
	defer stmt.Close()
	var timeout int
	return stmt.QueryRow().Scan(&timeout)
}
