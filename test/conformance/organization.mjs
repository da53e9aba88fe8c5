// Asks @clerk/backend what tokens grant and whether webhooks are genuine. Reads one JSON object a line and
// answers each with one line:
//
//   {"jwtKey"}                                  the key of the tokens that follow
//   {"token", "checks": [{"role", …}, …]}   ->  {"orgId", …, "has": [true, …]} or {"refused": why}
//   {"webhook": {"headers", "body", "secret"}} ->  {"event"} or {"refused": why}
import { createClerkClient } from '@clerk/backend';
import { verifyWebhook } from '@clerk/backend/webhooks';
import { createInterface } from 'node:readline';

for (const level of ['debug', 'info', 'log', 'warn']) {
  console[level] = console.error; // the SDK may print; standard output is for answers
}

let client;

async function grants({ token, checks }) {
  const request = new Request('http://localhost:3001/', { headers: { authorization: `Bearer ${token}` } });
  const auth = (await client.authenticateRequest(request)).toAuth();
  if (!auth?.isAuthenticated) {
    return { refused: 'signed out' };
  }
  return {
    userId: auth.userId,
    orgId: auth.orgId,
    orgSlug: auth.orgSlug,
    orgRole: auth.orgRole,
    orgPermissions: auth.orgPermissions,
    actor: auth.actor,
    factorVerificationAge: auth.factorVerificationAge,
    has: checks.map(check => auth.has(check)),
  };
}

async function event({ headers, body, secret }) {
  const request = new Request('http://localhost:3001/', { method: 'POST', headers, body });
  return { event: await verifyWebhook(request, { signingSecret: secret }) };
}

async function answer(question) {
  try {
    if (question.jwtKey) {
      // The publishable key only names the Frontend API; verification does not use it.
      const publishableKey = 'pk_test_' + btoa('fakeclerk.clerk.accounts.dev$');
      const telemetry = { disabled: true };
      client = createClerkClient({ secretKey: 'sk_test_fakeclerk', publishableKey, telemetry, jwtKey: question.jwtKey });
      return {};
    }
    return await (question.webhook ? event(question.webhook) : grants(question));
  } catch (error) {
    return { refused: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n');
}
