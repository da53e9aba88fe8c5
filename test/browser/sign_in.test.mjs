import assert from 'node:assert/strict';
import { test } from 'node:test';

import { claimsOf, env, eventually, open, profileRequests, reload, says, signIn, useBrowser } from './browser.mjs';

useBrowser();

test('one click signs in and shows the profile that the backend answers', async (t) => {
  const page = await open(t);
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  assert.equal(profileRequests(page).length, 0, 'signed out, the backend is not asked');

  await signIn(page);
  await says(page, 'The backend says who you are');
  await page.getByText('"userId": "user_ada"').waitFor();
  await page.getByText('"email": "ada@example.com"').waitFor();
  const shown = await page.locator('body').innerText();
  assert.equal(shown.split('ada@example.com').length - 1, 1, 'the address stands once');
  assert.deepEqual(page.problems, []);
});

test('the request carries a token that Clerk’s JavaScript obtained', async (t) => {
  const page = await open(t);
  const obtained = [];
  page.on('response', async (response) => {
    if (!response.url().startsWith(`${env.clerk}/v1/client`)) return;
    const body = await response.text().catch(() => ''); // the test may be over, and its page closed
    for (const [, jwt] of body.matchAll(/"jwt":"([^"]+)"/g)) obtained.push(jwt);
  });
  await signIn(page);
  await says(page, 'The backend says who you are');

  for (const { token, claims } of profileRequests(page)) {
    await eventually('the token is one that came from the Frontend API', () => obtained.includes(token));
    assert.equal(claims.azp, env.page);
    assert.equal(claims.sub, 'user_ada');
  }
  const asked = page.sent.map((request) => request.url());
  assert.ok(asked.some((url) => url.startsWith(`${env.clerk}/v1/dev_browser`)));
  assert.ok(asked.some((url) => url.startsWith(`${env.clerk}/v1/client/sign_ins`)));
});

test('a user without an email address is shown as one', async (t) => {
  const page = await open(t);
  await signIn(page, 'noemail');
  await says(page, 'a user without a primary email address');
  await page.getByText('"userId": "user_noemail"').waitFor();
});

test('everything works by keyboard alone', async (t) => {
  const page = await open(t);
  await page.getByRole('button', { name: 'Ada Lovelace' }).waitFor();
  await page.keyboard.press('Tab');
  await page.locator(':focus', { hasText: 'Ada Lovelace' }).waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'You are signed in' }).waitFor();
  await page.locator(':focus', { hasText: 'You are signed in' }).waitFor();
  await page.keyboard.press('Shift+Tab');
  await page.locator(':focus', { hasText: 'Sign out' }).waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
});

test('a stay that outlives several tokens has no failed request', async (t) => {
  const page = await open(t);
  await signIn(page);
  await says(page, 'The backend says who you are');
  const first = profileRequests(page)[0].claims;

  const tokens = () => new Set(profileRequests(page).map(({ token }) => token));
  await eventually('the page asked with 4 tokens, one of which was made after the first had expired', () =>
    tokens().size >= 4 && profileRequests(page).some(({ claims }) => claims.iat >= first.exp),
  );
  await page.getByRole('button', { name: 'Ask again' }).click();
  for (const { request } of profileRequests(page)) {
    assert.equal((await request.response()).status(), 200);
  }
  await says(page, 'The backend says who you are');
  assert.deepEqual(page.problems, []);
});

test('the claims and the time left of the token are shown', async (t) => {
  const page = await open(t);
  await signIn(page);
  const token = page.getByRole('region', { name: 'The session token' });
  await token.getByRole('timer').waitFor();
  assert.match(await token.getByRole('timer').innerText(), /^\d+ s left of \d+ s$/);
  for (const text of ['azp', env.page, 'user_ada', 'The session, from sign-in to sign-out.']) {
    await token.getByText(text, { exact: true }).waitFor();
  }
});

test('the request can be copied as a curl command', async (t) => {
  const page = await open(t);
  await signIn(page);
  await page.getByRole('button', { name: 'Copy as curl' }).click();
  let copied;
  await eventually('the command is in the clipboard', async () => {
    const text = await page.evaluate(() => navigator.clipboard.readText());
    return (copied = text.match(/^curl -H 'Authorization: Bearer (\S+)' (\S+)$/));
  });
  const [, token, url] = copied;
  assert.equal(url, `${env.api}/user/profile`);
  assert.equal(claimsOf(token).sub, 'user_ada');
});

test('the active organization is switched and left again', async (t) => {
  const page = await open(t);
  await signIn(page);
  const organization = page.getByLabel('Active organization');
  await organization.selectOption({ label: 'Analytical (Admin)' });
  await eventually('a token names the organization', () =>
    profileRequests(page).some(({ claims }) => claims.o?.id === 'org_analytical' && claims.o.rol === 'admin'),
  );
  await reload(page);
  await eventually('the reloaded page has it still', async () => (await organization.inputValue()) === 'org_analytical');

  const before = page.sent.length;
  await organization.selectOption({ label: 'None' });
  await eventually('a token names none', () =>
    profileRequests(page).some(({ request, claims }) => page.sent.indexOf(request) >= before && !claims.o),
  );
  assert.deepEqual(page.problems, []);
});

test('a reload keeps the session, and signing out ends it', async (t) => {
  const page = await open(t);
  await signIn(page);
  const { sid } = (await newestToken(page)).claims;
  await reload(page);
  await says(page, 'The backend says who you are');
  assert.equal((await newestToken(page)).claims.sid, sid, 'it is the same session');

  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  const asked = profileRequests(page).length;
  await reload(page);
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  assert.equal(profileRequests(page).length, asked, 'signed out, the backend is not asked');
  const cookies = await page.context().cookies();
  assert.ok(!cookies.some(({ name }) => name.startsWith('__session')), 'no token stays behind');
});

test('another tab is signed out too', async (t) => {
  const page = await open(t);
  await signIn(page);
  const other = await page.context().newPage();
  await other.goto(env.page);
  await other.getByRole('heading', { name: 'You are signed in' }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
  await other.getByRole('heading', { name: 'You are signed out' }).waitFor();
});

async function newestToken(page) {
  await eventually('the page asked', () => profileRequests(page).length > 0);
  return profileRequests(page).at(-1);
}
