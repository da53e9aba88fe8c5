// Package fakeclerk is an in-memory Clerk on a loopback address: it signs real
// tokens with a real key and answers the parts of Clerk's APIs that a backend
// and its page use. Tests and the development command call it in the place of a
// Clerk account; Clerk's own SDKs work against it unchanged.
//
// # Backend API
//
// Under [Server.URL] + "/v1". Each route asks for "Authorization: Bearer <secret
// key>". Lists take limit, offset and order_by.
//
//	GET    /v1/jwks
//	GET    /v1/users                      user_id, email_address, username, external_id, query, banned,
//	                                      created_at_before, created_at_after, starting_after
//	POST   /v1/users
//	GET    /v1/users/count
//	GET    /v1/users/{id}
//	PATCH  /v1/users/{id}
//	DELETE /v1/users/{id}
//	POST   /v1/users/{id}/ban
//	POST   /v1/users/{id}/unban
//	GET    /v1/users/{id}/organization_memberships
//	POST   /v1/sessions
//	GET    /v1/sessions/{id}
//	POST   /v1/sessions/{id}/revoke
//	POST   /v1/sessions/{id}/tokens
//	GET    /v1/organizations              organization_id, user_id, query
//	POST   /v1/organizations
//	GET    /v1/organizations/{id}
//	GET    /v1/organizations/{id}/memberships           role, user_id
//	GET    /v1/organization_memberships                 role, user_id
//	POST   /v1/organizations/{id}/memberships
//	PATCH  /v1/organizations/{id}/memberships/{user_id}
//	DELETE /v1/organizations/{id}/memberships/{user_id}
//
// Machine tokens. A machine's secret key does for M2M tokens what the instance's
// does, and is the one that creates them. The "/v1" may be left out, as Clerk's
// JavaScript SDK does.
//
//	GET    /v1/api_keys                   subject, include_invalid
//	POST   /v1/api_keys
//	POST   /v1/api_keys/verify
//	GET    /v1/api_keys/{id}
//	POST   /v1/api_keys/{id}/revoke
//	GET    /v1/m2m_tokens                 subject, revoked, expired
//	POST   /v1/m2m_tokens                 token_format=jwt for a JWT
//	POST   /v1/m2m_tokens/verify
//	POST   /v1/m2m_tokens/{id}/revoke
//	POST   /v1/oauth_applications/access_tokens/verify
//	POST   /v1/oauth_applications/{id}/revoke_token
//
// # Frontend API
//
// What Clerk's JavaScript needs to sign in with a ticket, to keep a session and
// its token fresh, to switch the active organization and to sign out. Give it
// [Server.PublishableKey], and [Server.URL] as its proxyUrl. Pages of every
// origin may ask, and the azp claim of a token is the origin that did. A browser
// is known by its dev browser, in the query, and never by a cookie of this
// server. Methods but GET and POST come as POST with _method=.
//
//	GET    /v1/environment
//	PATCH  /v1/environment
//	POST   /v1/dev_browser
//	GET    /v1/client
//	PUT    /v1/client
//	DELETE /v1/client
//	POST   /v1/client/sign_ins            strategy=ticket, ticket
//	DELETE /v1/client/sessions
//	GET    /v1/client/sessions/{id}
//	POST   /v1/client/sessions/{id}/touch               active_organization_id
//	POST   /v1/client/sessions/{id}/tokens              organization_id
//	POST   /v1/client/sessions/{id}/end
//	POST   /v1/client/sessions/{id}/remove
//
// # Tokens and control
//
// These ask for no key, so they keep web pages out: only the pages of
// [Options].PageOrigins read a token or a ticket, and none controls the server.
// Control routes do over HTTP what the methods of [Server] do, for tests in
// another process. Bodies are JSON; durations are written "1.5s".
//
//	GET    /token?email=ada@example.com   a session token as plain text
//	         or ?user_id=user_noemail
//	         &azp=http://localhost:3001   the azp claim; empty: none, as in a native app
//	         &org=org_analytical          the active organization, by id or slug
//	         &claims={"sts":"pending"}    merged into the claims; null deletes one
//	         &headers={"typ":null}        merged into the header; null deletes a field
//	       /token?type=api_key            or m2m_token, oauth_token: a machine token
//	         &email= or &user_id= or &org=     its subject; M2M: &machine=mch_reports
//	         &scopes=read,write
//	         &format=jwt                  M2M and OAuth; takes &claims= and &headers= too
//	         &expires_in=-1               in seconds
//	GET    /ticket?email=ada@example.com  a sign-in ticket as plain text
//	         or ?user_id=user_noemail
//	PUT    /fakeclerk/faults              {"route" or "user_id","kind","latency","duration",
//	                                      "status","retry_after","body","count"}
//	DELETE /fakeclerk/faults
//	GET    /fakeclerk/requests            {"total","rate_limited","routes":{"GET /v1/jwks":1}}
//	DELETE /fakeclerk/requests
//	POST   /fakeclerk/keys/rotate         {"kid"}
//	DELETE /fakeclerk/keys/{kid}
//	PUT    /fakeclerk/rate_limit          {"requests","window"}
//	PUT    /fakeclerk/latency             {"latency"}
//	PUT    /fakeclerk/clock               {"offset"}
//	POST   /fakeclerk/users               a [User]
//	POST   /fakeclerk/machine_tokens      a [MachineToken]
//	POST   /fakeclerk/sessions/{id}/end   signs a session out
//	GET    /fakeclerk/webhooks            {"messages":[{"id","type","attempts":[{"status"}],
//	                                      "delivered"}]}
//	PUT    /fakeclerk/webhooks            {"url","hold"}
//	POST   /fakeclerk/webhooks            {"type","data"}: an event of any type
//	POST   /fakeclerk/webhooks/{id}/resend
//	DELETE /fakeclerk/webhooks/{id}       the message is lost
//
// # Webhooks
//
// With [Options].WebhookURL, or a URL set later, changes are sent there as Svix
// sends Clerk's events: signed with [Server.WebhookSigningSecret], and repeated
// under the same svix-id until the answer is a success. [Server.HoldWebhooks]
// leaves the delivery to a test.
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
