// The live connection, which the service live closes when Clerk bans the user.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { control, env, eventually, fits, hasNoFault, newUser, open, says, signIn, useBrowser } from './browser.mjs';
import { answered as connected } from './live.panel.mjs';

useBrowser();

before(() => sendWebhooksTo(`${env.api}/webhooks/clerk`));
after(() => sendWebhooksTo(''));

test('a live connection goes on with fresh tokens, and another organization gets another', async (t) => {
  const { page, sockets } = await openAs(t, { email: 'Ada Lovelace' });
  await says(page, /Fresh tokens sent: [1-9]/);
  assert.equal(sockets.length, 1);

  await page.getByLabel('Active organization').selectOption({ label: 'Analytical (Admin)' });
  await eventually('it connects for the organization', () => sockets.length > 1 && sockets.at(-1).isClosed() === false);
  await connected(page);
  await eventually('the connection without an organization is closed', () => sockets[0].isClosed());
  assert.deepEqual(page.problems, []);
});

test('a ban closes the live connection, and after the ban the user connects again', async (t) => {
  const user = await newUser('Ban');
  const { page, sockets } = await openAs(t, user);

  // Clerk's JavaScript learns of the ban later: it would sign the user out, and the panel would go.
  let letThrough;
  const held = new Promise((resolve) => (letThrough = resolve));
  await page.route(`${env.clerk}/v1/client**`, (route) => held.then(() => route.continue()));
  await page.route(`${env.clerk}/v1/client/**`, (route) => held.then(() => route.continue()));
  await setBan(user, 'ban');
  await says(page, 'Closed: the user was banned');
  assert.ok(sockets.at(-1).isClosed());
  const before = sockets.length;
  await page.getByRole('button', { name: 'Connect again' }).waitFor();
  assert.equal(sockets.length, before, 'the page does not connect again by itself');

  letThrough();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await setBan(user, 'unban');
  await signIn(page, user.email);
  await connected(page);
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds no fault in the live connection in ${colorScheme}`, async (t) => {
    const { page } = await openAs(t, await newUser('Axe'), { colorScheme, viewport: { width: 320, height: 800 } });
    await hasNoFault(page, 'connected');
    await fits(page);

    t.after(() => control('backend/up'));
    await control('backend/down');
    await says(page, 'Closed: the backend refused it, or the network failed.');
    await hasNoFault(page, 'closed');
    await fits(page);
    await control('backend/up');
    await page.getByRole('button', { name: 'Connect again' }).click();
    await connected(page);
    await page.locator(':focus', { hasText: 'A live connection' }).waitFor();
  });
}

/** openAs opens the page as a user, connected. It also returns the WebSockets that the page opens. */
async function openAs(t, { email }, options) {
  const page = await open(t, options);
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket));
  await signIn(page, email);
  await connected(page);
  return { page, sockets };
}

async function setBan({ id }, action) {
  const response = await fetch(`${env.clerk}/v1/users/${id}/${action}`, {
    method: 'POST',
    headers: { Authorization: 'Bearer sk_test_fakeclerk' },
  });
  assert.equal(response.status, 200);
}

/** sendWebhooksTo has the fake Clerk report changes to a URL, or to nobody. */
async function sendWebhooksTo(url) {
  const response = await fetch(`${env.clerk}/fakeclerk/webhooks`, { method: 'PUT', body: JSON.stringify({ url }) });
  assert.ok(response.ok);
}
