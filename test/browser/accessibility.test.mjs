import { test } from 'node:test';

import { settingsAnswered } from './account.mjs'; // account:
import { control, env, fits, hasNoFault, open, says, signIn, useBrowser } from './browser.mjs';

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
    await says(page, 'The backend says that you are');
    await settingsAnswered(page); // account:
    await hasNoFault(page, 'signed in');

    t.after(() => control('backend/up'));
    await control('backend/down');
    await page.getByRole('button', { name: 'Ask again' }).click();
    await says(page, 'The backend does not answer');
    await hasNoFault(page, 'backend down');
    await control('backend/up');
    await says(page, 'The backend says that you are');
  });
}

for (const width of [320, 390, 1280]) {
  test(`nothing is cut off at a width of ${width} pixels`, async (t) => {
    const page = await open(t, { viewport: { width, height: 800 } });
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await fits(page);
    await signIn(page);
    await says(page, 'The backend says that you are');
    await settingsAnswered(page); // account:
    await fits(page);
  });
}

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
