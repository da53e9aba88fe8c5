// Package fakeclerk is an in-memory Clerk on a loopback address. It signs real
// tokens with a real key and answers the parts of Clerk's APIs that a backend
// and its page use. Tests and the development command call it in the place of a
// Clerk account; Clerk's own SDKs work against it unchanged.
//
// GET / lists its routes and their parameters.
//
// # Backend API
//
// Under URL + "/v1". Each route asks for "Authorization: Bearer <secret key>".
// Lists take limit, offset and order_by. A machine's secret key does for M2M
// tokens what the instance's key does, and is the key that creates them. For
// machine tokens the "/v1" may be left out, as Clerk's JavaScript SDK does. Its
// requests are counted; they can be limited, delayed and broken, by the methods
// of [faulty.Server]. Organizations can be switched off, as in a new instance.
//
// # Frontend API
//
// The part that Clerk's JavaScript needs to sign in with a ticket, to keep a
// session and its token fresh, to switch the active organization and to sign
// out. Give it [Server.PublishableKey], and the URL as its proxyUrl. Pages of
// every origin may ask, and the azp claim of a token is the origin that did. A
// browser is known by its dev browser, in the query, and never by a cookie of
// this server. Methods but GET and POST come as POST with _method=.
//
// # OAuth
//
// The part that an OAuth client needs to sign a user in. It has metadata (RFC
// 8414 and OpenID Connect), dynamic client registration, the authorization code
// flow with PKCE, refresh tokens, and user information. The page of the
// authorization endpoint lists the accounts. A test without a browser adds
// &user_id= or &email= to that address, and &org= for the organization, and is
// redirected at once. Access tokens are JWTs, as Clerk's are, or opaque:
// [Server.SetOpaqueAccessTokens]. A client that names no resource gets its own
// id as audience.
//
// # Tokens and control
//
// These ask for no key, so they keep web pages out: only the pages of
// [Server.SetPageOrigins] read a token or a ticket, and none controls the server.
//
//	GET /token?email=ada@example.com      a session token as plain text
//	    or ?user_id=user_noemail
//	    &azp=http://localhost:3001        the azp claim; empty: none, as in a native app
//	    &org=org_analytical               the active organization, by id or slug
//	    &claims={"sts":"pending"}         merged into the claims; null deletes one
//	    &headers={"typ":null}             merged into the header; null deletes a field
//	PUT /fakeclerk/session_token_claims   the claims that every session token has beside
//	    {"metadata":"{{user.public_metadata}}"}   Clerk's own, with Clerk's shortcodes
//	GET /token?type=api_key               or m2m_token, oauth_token: a machine token
//	    &email= or &user_id= or &org=     its subject; M2M: &machine=mch_reports
//	    &scopes=read,write
//	    &format=jwt                       M2M and OAuth; takes &claims= and &headers= too
//	    &expires_in=-1                    in seconds
//	GET /ticket?email=ada@example.com     a sign-in ticket as plain text
//	    or ?user_id=user_noemail
//
// Control routes, under /fakeclerk/, do over HTTP what the methods of [Server]
// do, for tests in another process. Bodies are JSON; durations are written
// "1.5s".
//
// # Webhooks
//
// With [Options].WebhookURL, or a URL set later, changes are sent there as Svix
// sends Clerk's events. They are signed with [Server.WebhookSigningSecret], and
// repeated under the same svix-id until the answer is a success. PUT
// /fakeclerk/webhooks with hold leaves the delivery to a test, which sends each
// message itself: late, in another order, more than once, or never.
//
//	user.created, user.updated (also for a ban), user.deleted
//	session.ended, session.revoked
//	organization.created, organization.updated, organization.deleted
//	organizationMembership.created, .updated, .deleted
//
// # Accounts
//
// Every server starts with these:
//
//	user_ada      ada@example.com (primary, the second in the list) and ada.lovelace@example.org
//	user_grace    grace@example.com
//	user_noemail  no address
//	user_banned   banned@example.com, banned
//
// In the organization org_analytical ("analytical"), user_ada is admin and
// user_grace member. The machine mch_reports, whose secret key is
// "ak_fakeclerk_reports", may call mch_inventory, "ak_fakeclerk_inventory".
package fakeclerk
