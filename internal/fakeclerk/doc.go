// Package fakeclerk is an in-memory Clerk on a loopback address: it signs real session tokens with a real
// key and answers the parts of Clerk's Backend API that a backend uses. Tests and the development command
// call it in the place of a Clerk account; Clerk's own SDKs work against it unchanged.
//
// # Backend API
//
// Under [Server.URL] + "/v1". Each route asks for "Authorization: Bearer <secret key>".
//
//	GET    /v1/jwks
//	GET    /v1/users                            limit, offset, order_by, user_id, email_address, username, external_id, query, banned
//	POST   /v1/users
//	GET    /v1/users/count
//	GET    /v1/users/{id}
//	PATCH  /v1/users/{id}
//	DELETE /v1/users/{id}
//	POST   /v1/users/{id}/ban
//	POST   /v1/users/{id}/unban
//	GET    /v1/sessions                         user_id, client_id, status, limit, offset, paginated
//	POST   /v1/sessions
//	GET    /v1/sessions/{id}
//	POST   /v1/sessions/{id}/revoke
//	POST   /v1/sessions/{id}/tokens
//	POST   /v1/sessions/{id}/tokens/{template}
//	POST   /v1/organizations
//	GET    /v1/organizations/{id}
//	PATCH  /v1/organizations/{id}
//	DELETE /v1/organizations/{id}
//	GET    /v1/organizations/{id}/memberships   role, user_id, limit, offset, order_by
//	POST   /v1/organizations/{id}/memberships
//	PATCH  /v1/organizations/{id}/memberships/{user_id}
//	DELETE /v1/organizations/{id}/memberships/{user_id}
//	POST   /v1/sign_in_tokens
//
// # Frontend API
//
// What Clerk's JavaScript needs to sign in with a ticket, to keep a session and its token fresh, to switch the
// active organization and to sign out. Give it [Server.PublishableKey], and [Server.URL] as its proxyUrl. Pages
// of every origin may ask, and the azp claim of a token is the origin that did. A browser is known by its dev
// browser, in the query, and never by a cookie of this server.
//
//	GET    /v1/environment
//	POST   /v1/dev_browser
//	GET    /v1/client
//	POST   /v1/client/sign_ins                  strategy=ticket, ticket
//	GET    /v1/client/sessions/{id}
//	POST   /v1/client/sessions/{id}/touch       active_organization_id
//	POST   /v1/client/sessions/{id}/tokens      organization_id
//	POST   /v1/client/sessions/{id}/end         or remove
//	DELETE /v1/client/sessions                  as POST with _method=DELETE
//
// # Conveniences
//
// They ask for no key, and do over HTTP what the methods of [Server] do, for tests in another process.
// Bodies are JSON; durations are written "1.5s".
//
//	GET    /token?email=ada@example.com         a session token as plain text
//	         or ?user_id=user_noemail
//	         &azp=http://localhost:3001         the azp claim; empty: none, as in a native app
//	         &org=org_analytical                the active organization, by id or slug
//	         &claims={"sts":"pending"}          merged into the claims; null deletes one
//	         &headers={"typ":null}              merged into the header; null deletes a field
//	GET    /ticket?email=ada@example.com        a sign-in ticket as plain text
//	         or ?user_id=user_noemail
//	PUT    /fakeclerk/faults                    {"route" or "user_id","kind","latency","duration","status","retry_after","body","count"}
//	DELETE /fakeclerk/faults
//	GET    /fakeclerk/requests                  {"total","rate_limited","routes":{"GET /v1/jwks":1}}
//	DELETE /fakeclerk/requests
//	POST   /fakeclerk/keys/rotate               {"kid"}
//	DELETE /fakeclerk/keys/{kid}
//	PUT    /fakeclerk/rate_limit                {"requests","window"}
//	PUT    /fakeclerk/latency                   {"latency"}
//	PUT    /fakeclerk/clock                     {"offset"}
//	POST   /fakeclerk/users                     a [User]
//	POST   /fakeclerk/sessions/{id}/end         signs a session out
//	PUT    /fakeclerk/webhooks                  {"url"}
//	POST   /fakeclerk/webhooks                  {"type","data"}: an event of any type
//	GET    /fakeclerk/webhooks                  {"messages":[{"id","type","attempts":[{"status"}],"delivered"}]}
//	POST   /fakeclerk/webhooks/{id}/resend
//
// # Webhooks
//
// With [Options].WebhookURL, or a URL set later, changes are sent there as Svix sends Clerk's events: signed
// with [Server.WebhookSigningSecret], and repeated under the same svix-id until the answer is a success.
//
//	user.created, user.updated (also for a ban), user.deleted
//	session.ended, session.revoked
//	organization.created, organization.updated, organization.deleted
//	organizationMembership.created, organizationMembership.updated, organizationMembership.deleted
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
// In the organization org_analytical ("analytical"), user_ada is admin and user_grace member.
package fakeclerk
