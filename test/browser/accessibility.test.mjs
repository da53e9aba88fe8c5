import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  control, env, fits, hasNoFault, newUser, open, panelsAnswered, says, signIn, useBrowser, wordsAreWhole,
} from './browser.mjs';

useBrowser();

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds no fault in ${colorScheme}`, async (t) => {
    const page = await open(t, { colorScheme });
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await hasNoFault(page, 'signed out');

    await page.getByRole('button', { name: 'banned@example.com' }).click();
    await says(page, 'This user is banned.');
    await hasNoFault(page, 'sign-in refused');

    await signIn(page);
    await says(page, 'The backend says who you are');
    await panelsAnswered(page);
    await hasNoFault(page, 'signed in');

    t.after(() => control('backend/up'));
    await control('backend/down');
    await page.getByRole('button', { name: 'Ask again' }).click();
    await says(page, 'The backend does not answer');
    await hasNoFault(page, 'backend down');
    await control('backend/up');
    await says(page, 'The backend says who you are');
  });
}

for (const width of [320, 360, 1280]) {
  test(`nothing is cut off at a width of ${width} pixels`, async (t) => {
    const page = await open(t, { viewport: { width, height: 800 } });
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await fits(page);
    await wordsAreWhole(page);
    await signIn(page);
    await says(page, 'The backend says who you are');
    await panelsAnswered(page);
    const claims = page.getByText('Its claims');
    const meaning = page.getByText('The token’s own id.');
    if (width < 400) {
      assert.equal(await meaning.isVisible(), false, 'a phone shows the claims on demand');
      await claims.click();
    }
    await meaning.waitFor();
    await fits(page);
    await wordsAreWhole(page);
  });
}

test('a long email address breaks after a sign on a phone', async (t) => {
  const { email } = await newUser('Wilhelmina');
  const page = await open(t, { viewport: { width: 360, height: 740 } });
  await page.getByRole('button', { name: email }).waitFor();
  await fits(page);
  await wordsAreWhole(page);
  await signIn(page, email);
  await page.getByText(`"email": "${email}"`).waitFor();
  await fits(page);
  await wordsAreWhole(page);
});

test('a phone shows the accounts, then the path of the request', async (t) => {
  const page = await open(t, { viewport: { width: 360, height: 740 } });
  const path = page.getByRole('region', { name: 'What happens then' });
  await path.waitFor();
  assert.equal(await path.getByRole('listitem').count(), 4);
  assert.match(await path.innerText(), /Clerk[^]*This page[^]*GET \/user\/profile[^]*The backend[^]*userId/);
  const last = await page.getByRole('list', { name: 'Sign in as' }).getByRole('button').last().boundingBox();
  const { y } = await path.boundingBox();
  assert.ok(last.y + last.height <= y, 'the accounts come first');
});

for (const [name, config] of [
  ['no config', { status: 404 }],
  ['the page itself in its place, as some hosts answer', { contentType: 'text/html', body: '<!doctype html>' }],
  ['no publishable key', { json: { publishableKey: '', apiUrl: env.api } }],
]) {
  test(`a page with ${name} says how it is set up`, async (t) => {
    const page = await open(t, { url: 'about:blank' });
    await page.route('**/config.json', (route) => route.fulfill(config));
    await page.goto(env.page);
    await page.getByRole('heading', { name: 'This page is not set up yet' }).waitFor();
    await hasNoFault(page, 'not set up');
  });
}
