// A client of the TypeScript SDK of the Model Context Protocol: it starts without a
// token, finds out where to sign in, signs in as Ada, and calls both tools.
//
//	node mcp.mjs http://127.0.0.1:4000/mcp
import assert from 'node:assert/strict';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const endpoint = new URL(process.argv[2]);

// The browser of a user who chooses an account at the fake Clerk.
class Provider {
  asked = [];
  redirectUrl = 'http://127.0.0.1:7777/callback';
  clientMetadata = {
    client_name: 'TypeScript',
    redirect_uris: [this.redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };
  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = client;
  }
  tokens() {
    return this.saved;
  }
  saveTokens(tokens) {
    this.saved = tokens;
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
  async redirectToAuthorization(url) {
    this.asked.push(url.searchParams.get('scope'));
    assert.equal(url.searchParams.get('resource'), endpoint.href);
    assert.equal(url.searchParams.get('code_challenge_method'), 'S256');
    url.searchParams.set('user_id', 'user_ada');
    url.searchParams.set('org', 'org_analytical');
    const response = await fetch(url, { redirect: 'manual' });
    this.code = new URL(response.headers.get('location')).searchParams.get('code');
  }
}

const provider = new Provider();
let transport = new StreamableHTTPClientTransport(endpoint, { authProvider: provider });

// signedIn runs a call, which may need another sign-in first.
async function signedIn(call) {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(provider.code);
    return undefined;
  }
}

let client;
for (let tries = 0; tries < 2; tries++) {
  client = new Client({ name: 'e2e', version: '1' });
  if (await signedIn(() => client.connect(transport).then(() => true))) break;
  transport = new StreamableHTTPClientTransport(endpoint, { authProvider: provider });
}
const { tools } = await client.listTools();
assert.deepEqual(tools.map((tool) => tool.name).sort(), ['list_members', 'whoami']);

const identity = await client.callTool({ name: 'whoami' });
assert.equal(identity.structuredContent.userId, 'user_ada');

const members = await client.callTool({ name: 'list_members' });
assert.ok(members.structuredContent.members.some((member) => member.userId === 'user_grace'), JSON.stringify(members));
assert.equal(provider.asked.length, 1);
assert.match(provider.asked[0], /user:org:read/);
await client.close();
