package fakeclerk

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// store holds the users and their sessions. What it takes in and gives out is copied, except what lies
// inside the values of metadata.
type store struct {
	mu       sync.RWMutex
	users    []*User // in order of creation
	added    int     // counts the users ever added
	userByID map[string]*User
	byEmail  map[string]*User // by every address, in lower case
	sessions map[string]*Session
	order    []string          // session ids in order of creation
	reused   map[string]string // by user id: the session of tokenSession
}

func (st *store) init() {
	st.userByID = make(map[string]*User)
	st.byEmail = make(map[string]*User)
	st.sessions = make(map[string]*Session)
	st.reused = make(map[string]string)
}

func (st *store) user(id string) (User, bool) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	user, ok := st.userByID[id]
	if !ok {
		return User{}, false
	}
	return user.clone(), true
}

func (u *User) clone() User {
	copied := *u
	copied.EmailAddresses = slices.Clone(u.EmailAddresses)
	copied.PublicMetadata = maps.Clone(u.PublicMetadata)
	copied.PrivateMetadata = maps.Clone(u.PrivateMetadata)
	copied.UnsafeMetadata = maps.Clone(u.UnsafeMetadata)
	return copied
}

// filterUsers returns the users that keep lets through, the oldest first. Where
// there are ids, it looks only at the users that have one of them.
func (st *store) filterUsers(ids []string, keep func(*User) bool) []User {
	st.mu.RLock()
	defer st.mu.RUnlock()
	candidates := st.users
	if len(ids) > 0 {
		candidates = nil
		for _, id := range ids {
			if user, ok := st.userByID[id]; ok && !slices.Contains(candidates, user) {
				candidates = append(candidates, user)
			}
		}
		slices.SortFunc(candidates, func(a, b *User) int { return a.number - b.number })
	}
	var users []User
	for _, user := range candidates {
		if keep(user) {
			users = append(users, user.clone())
		}
	}
	return users
}

func (st *store) userByEmail(email string) (User, bool) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	user, ok := st.byEmail[strings.ToLower(email)]
	if !ok {
		return User{}, false
	}
	return user.clone(), true
}

func (st *store) addUser(user User) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if _, taken := st.userByID[user.ID]; taken {
		return ErrUserExists
	}
	added := user.clone()
	st.added++
	added.number = st.added
	if err := st.indexEmails(&added); err != nil {
		return err
	}
	st.users = append(st.users, &added)
	st.userByID[user.ID] = &added
	return nil
}

// indexEmails makes a user known by its addresses, unless another user has one of them. The caller holds mu.
func (st *store) indexEmails(user *User) error {
	for _, address := range user.EmailAddresses {
		other, taken := st.byEmail[strings.ToLower(address.EmailAddress)]
		if taken && other.ID != user.ID {
			return ErrUserExists
		}
	}
	for _, address := range user.EmailAddresses {
		st.byEmail[strings.ToLower(address.EmailAddress)] = user
	}
	return nil
}

// unindexEmails forgets a user's addresses. The caller holds mu.
func (st *store) unindexEmails(user *User) {
	for _, address := range user.EmailAddresses {
		delete(st.byEmail, strings.ToLower(address.EmailAddress))
	}
}

func (st *store) changeUser(id string, change func(*User)) (User, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	user, ok := st.userByID[id]
	if !ok {
		return User{}, ErrUnknownUser
	}
	before := *user
	changed := user.clone()
	change(&changed)
	changed.number = before.number

	st.unindexEmails(&before)
	*user = changed
	if err := st.indexEmails(user); err != nil {
		*user = before
		_ = st.indexEmails(user) // they were its own
		return User{}, err
	}
	return user.clone(), nil
}

func (st *store) deleteUser(id string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	deleted, ok := st.userByID[id]
	if !ok {
		return ErrUnknownUser
	}
	st.unindexEmails(deleted)
	delete(st.userByID, id)
	delete(st.reused, id)
	st.users = slices.DeleteFunc(st.users, func(user *User) bool { return user.ID == id })
	st.order = slices.DeleteFunc(st.order, func(sessionID string) bool {
		if st.sessions[sessionID].UserID != id {
			return false
		}
		delete(st.sessions, sessionID)
		return true
	})
	return nil
}

// addSession starts a session on a client of its own, revoked at once for a banned user.
func (st *store) addSession(userID string, now time.Time) (Session, User, error) {
	return st.addClientSession(userID, newID("client"), now)
}

// addClientSession starts a session on a client that may have others.
func (st *store) addClientSession(userID, clientID string, now time.Time) (Session, User, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	user, ok := st.userByID[userID]
	if !ok {
		return Session{}, User{}, ErrUnknownUser
	}
	session := newSession(user, now)
	session.ClientID = clientID
	st.sessions[session.ID] = session
	st.order = append(st.order, session.ID)
	return *session, user.clone(), nil
}

// tokenSession returns the one session of a user that tokens signed without a session id belong to, and
// starts another if that was revoked. A banned user keeps the revoked one.
func (st *store) tokenSession(userID string, now time.Time) (Session, User, error) {
	st.mu.RLock()
	session, ok := st.sessions[st.reused[userID]]
	user := st.userByID[userID]
	if ok && (session.Status == SessionActive || user.Banned) {
		defer st.mu.RUnlock()
		return *session, user.clone(), nil
	}
	st.mu.RUnlock()

	st.mu.Lock()
	defer st.mu.Unlock()
	user, ok = st.userByID[userID]
	if !ok {
		return Session{}, User{}, ErrUnknownUser
	}
	session, ok = st.sessions[st.reused[userID]]
	if !ok || session.Status != SessionActive && !user.Banned {
		session = newSession(user, now)
		st.sessions[session.ID] = session
		st.order = append(st.order, session.ID)
		st.reused[userID] = session.ID
	}
	return *session, user.clone(), nil
}

func (st *store) session(id string) (Session, bool) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	session, ok := st.sessions[id]
	if !ok {
		return Session{}, false
	}
	return *session, true
}

func (st *store) endSession(id, status string, now time.Time) (Session, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	session, ok := st.sessions[id]
	if !ok {
		return Session{}, false
	}
	session.end(status, now)
	return *session, true
}

func (st *store) revokeSessionsOf(userID string, now time.Time) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, session := range st.sessions {
		if session.UserID == userID {
			session.end(SessionRevoked, now)
		}
	}
}

// filterSessions returns the sessions that keep lets through, the newest first.
func (st *store) filterSessions(keep func(Session) bool) []Session {
	st.mu.RLock()
	defer st.mu.RUnlock()
	var sessions []Session
	for _, id := range slices.Backward(st.order) {
		if session := *st.sessions[id]; keep(session) {
			sessions = append(sessions, session)
		}
	}
	return sessions
}

// accounts names the first accounts for a person who mistyped one.
func (st *store) accounts() string {
	st.mu.RLock()
	defer st.mu.RUnlock()
	var names []string
	for _, user := range st.users[:min(10, len(st.users))] {
		if email := user.PrimaryEmailAddress(); email != "" {
			names = append(names, "email="+email)
		} else {
			names = append(names, "user_id="+user.ID)
		}
	}
	return strings.Join(names, ", ")
}
