// The reference: what @clerk/backend decides on tokens. Reads one JSON object a line and answers each with one
// line:
//
//   {"configure": {"secretKey", "apiUrl", "jwtKey", "authorizedParties", "now"}}  ->  {}
//   {"token"}                                                                    ->  {"accepted", "userId", "sessionId"} or {"why"}
//   {"token", "acceptsToken"}                                                    ->  the same, with "tokenType", "subject", "scopes", "clientId"
//   {"call": "users.getUser", "arguments": […]}                                  ->  {"value"} or {"error"}
import { createClerkClient, verifyToken } from '@clerk/backend';
import { createInterface } from 'node:readline';

for (const level of ['debug', 'info', 'log', 'warn']) {
  console[level] = console.error; // the SDK may print; standard output is for answers
}

// The publishable key only names the Frontend API; verification does not use it.
const publishableKey = 'pk_test_' + btoa('fakeclerk.clerk.accounts.dev$');
const realNow = Date.now;

let client;
let options;

function configure({ now, ...given }) {
  Date.now = now ? () => now : realNow;
  options = given;
  client = createClerkClient({ ...given, publishableKey, telemetry: { disabled: true } });
  return {};
}

// A token counts as accepted only where both ways into the SDK accept it: a backend may use either. It comes as the
// caller would send it, in a header; HTTP removes white space around it and knows no line breaks, so that a token
// with either is another one by the time that a backend reads it.
async function decide(token) {
  try {
    const authorization = `Bearer ${token}`;
    const request = new Request('http://localhost:3001/', { headers: { authorization } });
    if (request.headers.get('authorization') !== authorization) {
      return { accepted: false, why: 'does not survive a header' };
    }
    const state = await client.authenticateRequest(request, options);
    const auth = state.toAuth(); // signed out while the session is pending
    if (!state.isAuthenticated || !auth.userId) {
      return { accepted: false, why: `${state.reason}: ${state.message}` };
    }
    await verifyToken(token, options);
    return { accepted: true, userId: String(auth.userId), sessionId: String(auth.sessionId) };
  } catch (error) {
    return { accepted: false, why: String(error) };
  }
}

// What authenticateRequest makes of a token of any kind.
async function decideKind(token, acceptsToken) {
  try {
    const authorization = `Bearer ${token}`;
    const request = new Request('http://localhost:3001/', { headers: { authorization } });
    if (request.headers.get('authorization') !== authorization) {
      return { accepted: false, why: 'does not survive a header' };
    }
    const state = await client.authenticateRequest(request, { ...options, acceptsToken });
    const auth = state.toAuth();
    if (!state.isAuthenticated || !auth.isAuthenticated) {
      return { accepted: false, why: `${state.reason}: ${state.message}` };
    }
    return {
      accepted: true,
      tokenType: auth.tokenType,
      subject: String(auth.subject ?? auth.userId),
      userId: auth.userId ? String(auth.userId) : '',
      sessionId: auth.sessionId ? String(auth.sessionId) : '',
      scopes: [auth.scopes ?? []].flat().map(String),
      clientId: String(auth.clientId ?? ''),
    };
  } catch (error) {
    return { accepted: false, why: String(error) };
  }
}

async function call(name, args) {
  const [group, method] = name.split('.');
  try {
    const value = method ? await client[group][method](...args) : await verifyToken(...args, options);
    return { value };
  } catch (error) {
    return { error: { name: error.constructor.name, status: error.status, code: error.errors?.[0]?.code, text: String(error) } };
  }
}

async function answer(question) {
  if (question.configure) {
    return configure(question.configure);
  }
  if (question.call) {
    return call(question.call, question.arguments);
  }
  return question.acceptsToken ? decideKind(question.token, question.acceptsToken) : decide(question.token);
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n');
}
