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
//
// # Conveniences
//
// They ask for no key, and do over HTTP what the methods of [Server] do, for tests in another process.
// Bodies are JSON; durations are written "1.5s".
//
//	GET    /token?email=ada@example.com         a session token as plain text
//	         or ?user_id=user_noemail
//	         &azp=http://localhost:3001         the azp claim; empty: none, as in a native app
//	         &claims={"sts":"pending"}          merged into the claims; null deletes one
//	         &headers={"typ":null}              merged into the header; null deletes a field
//	PUT    /fakeclerk/faults                    {"route","kind","latency","duration","status","retry_after","body","count"}
//	DELETE /fakeclerk/faults
//	GET    /fakeclerk/requests                  {"total","routes":{"GET /v1/jwks":1}}
//	DELETE /fakeclerk/requests
//	POST   /fakeclerk/keys/rotate               {"kid"}
//	DELETE /fakeclerk/keys/{kid}
//	PUT    /fakeclerk/clock                     {"offset"}
//	POST   /fakeclerk/users                     a [User]
//
// # Accounts
//
// Every server starts with these:
//
//	user_ada      ada@example.com (primary, the second in the list) and ada.lovelace@example.org
//	user_grace    grace@example.com
//	user_noemail  no address
//	user_banned   banned@example.com, banned
package fakeclerk
