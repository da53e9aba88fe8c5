// The reference: what @clerk/backend decides on session tokens. Reads one JSON object a line and answers each
// with one line:
//
//   {"configure": {"secretKey", "apiUrl", "jwtKey", "authorizedParties", "now"}}  ->  {}
//   {"token"}                                                                    ->  {"accepted", "userId", "sessionId"} or {"why"}
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
  return question.call ? call(question.call, question.arguments) : decide(question.token);
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n');
}
