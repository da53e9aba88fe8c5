import assert from 'node:assert/strict';
import { test } from 'node:test';

import { control, env, eventually, newUser, open, profileRequests, reload, says, signIn, useBrowser } from './browser.mjs';

useBrowser();

test('a page of another origin signs in, and the backend refuses its token', async (t) => {
  const page = await open(t, { url: env.foreignPage });
  await signIn(page);
  await says(page, 'The backend does not accept this session token');
  await says(page, `this one was given to ${env.foreignPage}`);

  const [{ request, claims }] = profileRequests(page);
  assert.equal(claims.azp, env.foreignPage, 'the token is real, and made for that page');
  const response = await request.response();
  assert.equal(response.status(), 401);
  assert.equal((await response.json()).code, 'unauthenticated');
});

test('a banned account is told that Clerk refuses it', async (t) => {
  const page = await open(t);
  await page.getByRole('button', { name: 'banned@example.com' }).click();
  await page.getByRole('alert').getByText('banned@example.com cannot sign in: This user is banned.').waitFor();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
});

test('a backend that is down is shown as such, and the page recovers by itself', async (t) => {
  const page = await open(t);
  await signIn(page);
  await says(page, 'The backend says who you are');
  let loads = 0;
  page.on('load', () => loads++);

  t.after(() => control('backend/up'));
  await control('backend/down');
  await page.getByRole('button', { name: 'Ask again' }).click();
  await says(page, 'The backend does not answer');
  await says(page, `Nothing came back from ${env.api}.`);

  await control('backend/up');
  await says(page, 'The backend says who you are');
  assert.equal(loads, 0, 'the page was not loaded again');
});

test('a fake Clerk that is not there is shown as such', async (t) => {
  const page = await open(t, { url: 'about:blank' });
  await page.route(`${env.clerk}/**`, (route) => route.abort());
  await page.goto(env.page);
  await page.getByRole('heading', { name: 'Clerk did not load' }).waitFor();
  await says(page, `The fake Clerk does not answer at ${env.clerk}.`);
});

test('Clerk may be away for longer than a token lives', async (t) => {
  const page = await open(t);
  await signIn(page);
  await says(page, 'The backend says who you are');
  await page.route(`${env.clerk}/**`, (route) => route.abort());
  await page.getByText('Clerk has not renewed it yet.').waitFor();
  await page.unroute(`${env.clerk}/**`);
  await page.getByText('Clerk’s JavaScript renews it before it expires.').waitFor();
  await says(page, 'The backend says who you are');
});

for (const { status, code, shown, asksAgain } of [
  { status: 403, code: 'permission_denied', shown: 'You may not see this' },
  { status: 500, code: 'internal', shown: 'The backend failed (500)' },
  { status: 503, code: 'unavailable', shown: 'The backend cannot reach Clerk just now', asksAgain: true },
]) {
  test(`the answer ${status} is put into words`, async (t) => {
    const page = await open(t);
    await page.route(`${env.api}/user/profile`, (route) => {
      if (route.request().method() !== 'GET') return route.continue();
      return route.fulfill({
        status,
        headers: { 'Access-Control-Allow-Origin': env.page },
        json: { code, message: 'some words', details: null },
      });
    });
    await signIn(page);
    await says(page, shown);
    await page.unroute(`${env.api}/user/profile`);
    if (!asksAgain) await page.getByRole('button', { name: 'Ask again' }).click();
    await says(page, 'The backend says who you are');
  });
}

test('a ban ends the session in the open page', async (t) => {
  const { id, email } = await newUser('mallory');
  const page = await open(t);
  await signIn(page, email);
  await says(page, 'The backend says who you are');
  const banned = await fetch(`${env.clerk}/v1/users/${id}/ban`, {
    method: 'POST',
    headers: { Authorization: 'Bearer sk_test_fakeclerk' },
  });
  assert.ok(banned.ok);
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
});

test('a browser that the fake Clerk has forgotten starts anew', async (t) => {
  const page = await open(t);
  await signIn(page);
  await page.context().clearCookies({ name: /^__clerk_db_jwt/ });
  await page.context().addCookies([{ name: '__clerk_db_jwt', value: 'dvb_from_before', url: env.page }]);
  await reload(page);
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await signIn(page, 'Grace Hopper');
  await eventually('Grace is known', () => page.getByText('"email": "grace@example.com"').isVisible());
});
