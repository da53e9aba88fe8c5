package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"encore.app/auth/clerkauth"
	"encore.app/webhooks/clerkevent"
)

// model is Clerk in memory: what it knows, the events of what changed, and its
// lists. Each change has a different time.
type model struct {
	random *rand.Rand
	now    time.Time
	made   int // numbers ids

	// Few users and organizations meet again and again.
	maxUsers, maxOrganizations int

	userOf         map[string]userRecord
	organizationOf map[string]organizationRecord
	membershipOf   map[string]membershipRecord
	versions       map[string]userRecord // of users, by id and time of change
	deleted        []string              // users

	pending []*clerkevent.Event // not delivered yet, in order

	// unlisted are ids that the lists leave out for a while.
	unlisted map[string]bool
	// sizes are those of records, 0 for 1; capacity is what fits into an answer.
	sizes    map[string]int
	capacity int

	// between is called before each answer to a call.
	between func()
	calls   int
}

const modelInstance = "ins_model"

func newModel(random *rand.Rand) *model {
	return &model{
		random: random, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		maxUsers: 1 + random.IntN(8), maxOrganizations: 1 + random.IntN(3),
		userOf: map[string]userRecord{}, organizationOf: map[string]organizationRecord{},
		membershipOf: map[string]membershipRecord{}, versions: map[string]userRecord{}, between: func() {},
		unlisted: map[string]bool{}, sizes: map[string]int{}, capacity: 2 + random.IntN(6),
	}
}

func (m *model) tick() time.Time {
	m.now = m.now.Add(time.Duration(1+m.random.IntN(2000)) * time.Millisecond)
	return m.now
}

func (m *model) id(prefix string) string {
	m.made++
	id := fmt.Sprintf("%s_%04d", prefix, m.made)
	if m.random.IntN(4) == 0 {
		m.sizes[id] = 1 + m.random.IntN(m.capacity)
	}
	return id
}

func (m *model) emit(e *clerkevent.Event) {
	e.ID, e.At, e.InstanceID = m.id("msg"), m.now, modelInstance
	m.pending = append(m.pending, e)
}

// pick returns a random key, "" of an empty map.
func pick[V any](random *rand.Rand, all map[string]V) string {
	if len(all) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(all))[random.IntN(len(all))]
}

// change does one random thing in Clerk.
func (m *model) change() {
	user, organization, membership := pick(m.random, m.userOf), pick(m.random, m.organizationOf), pick(m.random, m.membershipOf)
	switch kind := m.random.IntN(16); {
	case len(m.userOf) == 0, kind < 2 && len(m.userOf) < m.maxUsers:
		now := m.tick()
		m.storeUser(clerkevent.UserCreated, userRecord{ID: m.id("user"), CreatedAt: &now})
	case kind < 5:
		m.tick()
		m.storeUser(clerkevent.UserUpdated, m.userOf[user])
	case kind == 5:
		m.deleteUser(user)
	case len(m.organizationOf) == 0, kind == 6 && len(m.organizationOf) < m.maxOrganizations:
		now := m.tick()
		m.storeOrganization(clerkevent.OrganizationCreated, organizationRecord{ID: m.id("org"), CreatedAt: &now})
	case kind == 7:
		m.tick()
		m.storeOrganization(clerkevent.OrganizationUpdated, m.organizationOf[organization])
	case kind == 8 && m.random.IntN(3) == 0:
		m.deleteOrganization(organization)
	case membership == "", kind < 12:
		m.join(organization, user)
	case kind == 12:
		r := m.membershipOf[membership]
		r.UpdatedAt, r.Role = m.tick(), fmt.Sprintf("org:role_%d", m.random.IntN(3))
		m.storeMembership(clerkevent.MembershipUpdated, r)
	default:
		m.tick()
		left := m.membershipOf[membership]
		m.emitMembership(clerkevent.MembershipDeleted, left)
		delete(m.membershipOf, membership)
		if m.random.IntN(2) == 0 {
			m.join(left.OrganizationID, left.UserID)
		}
	}
}

func (m *model) storeUser(eventType clerkevent.Type, r userRecord) {
	r.UpdatedAt = m.now
	r.PrimaryEmail = fmt.Sprintf("%s.%d@example.com", r.ID, m.random.IntN(1000))
	r.EmailVerified = m.random.IntN(2) == 0
	r.FirstName = fmt.Sprintf("Name %d", m.random.IntN(1000))
	r.Banned = m.random.IntN(4) == 0
	r.PublicMetadata = fmt.Appendf(nil, `{"level": %d}`, m.random.IntN(1000)) // as PostgreSQL writes it
	m.userOf[r.ID] = r
	m.versions[versionKey(r.ID, r.UpdatedAt)] = r
	m.emit(&clerkevent.Event{Type: eventType, User: &clerkevent.User{
		ID: r.ID, PrimaryEmailAddress: r.PrimaryEmail, EmailVerified: r.EmailVerified, FirstName: r.FirstName,
		Banned: r.Banned, CreatedAt: *r.CreatedAt, UpdatedAt: r.UpdatedAt, PublicMetadata: r.PublicMetadata,
	}})
}

func versionKey(id string, at time.Time) string { return id + at.UTC().Format(time.RFC3339Nano) }

// deleteUser also ends memberships, of which Clerk sends no events.
func (m *model) deleteUser(id string) {
	m.tick()
	delete(m.userOf, id)
	m.deleted = append(m.deleted, id)
	maps.DeleteFunc(m.membershipOf, func(_ string, r membershipRecord) bool { return r.UserID == id })
	m.emit(&clerkevent.Event{Type: clerkevent.UserDeleted, User: &clerkevent.User{ID: id}})
}

func (m *model) storeOrganization(eventType clerkevent.Type, r organizationRecord) {
	r.UpdatedAt, r.Name = m.now, fmt.Sprintf("Organization %d", m.random.IntN(1000))
	m.organizationOf[r.ID] = r
	m.emit(&clerkevent.Event{Type: eventType, Organization: &clerkevent.Organization{
		ID: r.ID, Name: r.Name, CreatedAt: *r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}})
}

func (m *model) deleteOrganization(id string) {
	m.tick()
	delete(m.organizationOf, id)
	maps.DeleteFunc(m.membershipOf, func(_ string, r membershipRecord) bool { return r.OrganizationID == id })
	m.emit(&clerkevent.Event{Type: clerkevent.OrganizationDeleted, Organization: &clerkevent.Organization{ID: id}})
}

func (m *model) join(organization, user string) {
	for _, r := range m.membershipOf {
		if r.OrganizationID == organization && r.UserID == user {
			return
		}
	}
	now := m.tick()
	m.storeMembership(clerkevent.MembershipCreated, membershipRecord{
		ID: m.id("orgmem"), OrganizationID: organization, UserID: user, Role: "org:member", CreatedAt: now, UpdatedAt: now,
	})
}

func (m *model) storeMembership(eventType clerkevent.Type, r membershipRecord) {
	m.membershipOf[r.ID] = r
	m.emitMembership(eventType, r)
}

func (m *model) emitMembership(eventType clerkevent.Type, r membershipRecord) {
	m.emit(&clerkevent.Event{Type: eventType, Membership: &clerkevent.Membership{
		ID: r.ID, OrganizationID: r.OrganizationID, UserID: r.UserID, Role: r.Role, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}})
}

// The methods below implement clerkLists.

func (m *model) instance(context.Context) (string, error) { return modelInstance, nil }

// answer is a list of records, unless they do not fit.
func answer[R record](m *model, records []R) (listing[R], error) {
	size := 0
	for _, r := range records {
		id, _ := r.key()
		size += max(m.sizes[id], 1)
	}
	if size > m.capacity {
		return listing[R]{}, fmt.Errorf("asked for too much: %w", clerkauth.ErrTooLarge)
	}
	return listing[R]{records: records}, nil
}

func listed[R record](m *model, all map[string]R, passes func(R) bool) []R {
	m.calls++
	m.between()
	list := slices.SortedFunc(maps.Values(all), func(a, b R) int {
		aID, aCreated := a.key()
		bID, bCreated := b.key()
		return cmp.Or(aCreated.Compare(bCreated), cmp.Compare(aID, bID))
	})
	return slices.DeleteFunc(list, func(r R) bool {
		id, _ := r.key()
		return m.unlisted[id] || !passes(r)
	})
}

func everything[R record](R) bool { return true }

func paged[R record](m *model, list []R, limit, offset int) (listing[R], error) {
	list = list[min(offset, len(list)):]
	return answer(m, list[:min(limit, len(list))])
}

func (m *model) users(_ context.Context, limit, offset int) (listing[userRecord], error) {
	return paged(m, listed(m, m.userOf, everything), limit, offset)
}

func (m *model) organizations(_ context.Context, limit, offset int) (listing[organizationRecord], error) {
	return paged(m, listed(m, m.organizationOf, everything), limit, offset)
}

func (m *model) memberships(_ context.Context, limit, offset int) (listing[membershipRecord], error) {
	return paged(m, listed(m, m.membershipOf, m.isMember), limit, offset)
}

func (m *model) isMember(r membershipRecord) bool {
	return !m.unlisted[r.UserID] && !m.unlisted[r.OrganizationID]
}

func (m *model) usersByID(_ context.Context, ids []string) (listing[userRecord], error) {
	return answer(m, listed(m, m.userOf, func(r userRecord) bool { return slices.Contains(ids, r.ID) }))
}

func (m *model) organizationsByID(_ context.Context, ids []string) (listing[organizationRecord], error) {
	return answer(m, listed(m, m.organizationOf, func(r organizationRecord) bool { return slices.Contains(ids, r.ID) }))
}

func (m *model) membershipsOf(_ context.Context, organizationID string, userIDs []string) (listing[membershipRecord], error) {
	return answer(m, listed(m, m.membershipOf, func(r membershipRecord) bool {
		return r.OrganizationID == organizationID && slices.Contains(userIDs, r.UserID) && m.isMember(r)
	}))
}
