// The handler of the guide: it verifies the session token and asks Clerk for
// the user, on every request. It runs as `node server.mjs` would: one process.
import http from 'node:http';
import { createClerkClient, verifyToken } from '@clerk/backend';

const secretKey = process.env.CLERK_SECRET_KEY;
const apiUrl = process.env.CLERK_API_URL;
const authorizedParties = process.env.CLERK_AUTHORIZED_PARTIES.split(',');

const clerk = createClerkClient({ secretKey, apiUrl, telemetry: { disabled: true } });

function answer(res, status, body) {
  const encoded = JSON.stringify(body);
  res.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(encoded) });
  res.end(encoded);
}

const server = http.createServer(async (req, res) => {
  if (req.method !== 'GET' || req.url !== '/user/profile') {
    return answer(res, 404, { error: 'not found' });
  }
  const [scheme, token] = (req.headers.authorization ?? '').split(' ');
  if (scheme !== 'Bearer' || !token) {
    return answer(res, 401, { error: 'no session token' });
  }
  let claims;
  try {
    claims = await verifyToken(token, { secretKey, apiUrl, authorizedParties });
  } catch {
    return answer(res, 401, { error: 'invalid session token' });
  }
  try {
    const user = await clerk.users.getUser(claims.sub);
    const primary = user.emailAddresses.find(address => address.id === user.primaryEmailAddressId);
    return answer(res, 200, { userId: user.id, email: primary?.emailAddress ?? '' });
  } catch {
    return answer(res, 500, { error: 'the user could not be loaded' });
  }
});

server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`));

// Whoever started us has ended when stdin does.
process.stdin.on('end', () => process.exit()).resume();
