// The JavaScript of the documents, as it is written there.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { env, open, signIn, useBrowser } from './browser.mjs';

useBrowser();

test('the WebSocket of docs/live.md opens, and goes on with a fresh token', async (t) => {
  const text = readFileSync(new URL('../../docs/live.md', import.meta.url), 'utf8');
  const [, snippet] = text.match(/^```js\n(.*?)^```$/ms);
  assert.ok(snippet.includes('wss://api.example.com/'));
  const page = await open(t, { bypassCSP: true }); // any page
  await signIn(page);

  // What the snippet does every 40 seconds is done after each message here.
  const types = await page.evaluate(`(async () => {
    const getToken = () => Clerk.session.getToken();
    let renew;
    const setInterval = (call) => (renew = call);
    ${snippet.replace('wss://api.example.com', env.api.replace('http', 'ws'))}
    return new Promise((resolve, reject) => {
      const types = [];
      socket.onerror = () => reject(new Error('not connected'));
      socket.onclose = ({ code }) => reject(new Error('closed with ' + code));
      socket.onmessage = ({ data }) => (types.push(JSON.parse(data).type) < 2 ? renew() : resolve(types));
    });
  })()`);
  assert.deepEqual(types, ['ready', 'renewed']);
});
