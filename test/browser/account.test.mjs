// The settings, which the page reads from the service account and saves there.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { noDatabase, settingsAnswered } from './account.mjs';
import {
  control, env, eventually, fits, hasNoFault, newUser, open, profileRequests, reload, says, signIn, useBrowser,
} from './browser.mjs';

useBrowser();

const withDatabase = { skip: noDatabase };

test('settings are shown, saved, and still there after a reload', withDatabase, async (t) => {
  const page = await openAs(t, await newUser('Sophie'));
  await says(page, 'They were never saved.');
  await has(page, { 'Display name': '', Theme: 'system', Locale: '', 'Time zone': '' });

  await page.getByLabel('Theme').selectOption('dark');
  await page.getByLabel('Locale').fill('de-ch');
  await page.getByLabel('Time zone').fill('Europe/Zurich');
  await page.getByLabel('Display name').fill('  Sophie G. ');
  const first = await saves(page, () => page.keyboard.press('Enter'));
  assert.deepEqual(first, {
    status: 200,
    sent: { version: 0, displayName: '  Sophie G. ', locale: 'de-ch', timeZone: 'Europe/Zurich', theme: 'dark' },
  });
  await page.getByRole('status').getByText('Saved. This is version 1.').waitFor();
  const saved = { 'Display name': 'Sophie G.', Theme: 'dark', Locale: 'de-CH', 'Time zone': 'Europe/Zurich' };
  await has(page, saved);
  await page.locator(':focus').and(page.getByLabel('Display name')).waitFor();

  await reload(page);
  await says(page, 'This is version 1.');
  await has(page, saved);
  assert.equal(await page.evaluate(() => document.documentElement.style.colorScheme), 'dark');

  await page.getByLabel('Theme').selectOption('system');
  const second = await saves(page);
  assert.equal(second.sent.version, 1);
  await says(page, 'This is version 2.');
  assert.equal(await page.evaluate(() => document.documentElement.style.colorScheme), '');
  assert.deepEqual(page.problems, []);
});

test('a tab with old settings is told so, keeps what was typed, and can save it', withDatabase, async (t) => {
  const { page, other } = await changeElsewhere(t);
  await has(other, { 'Display name': 'Typed here', Theme: 'light', Locale: 'fr', 'Time zone': 'Asia/Tokyo' });
  for (const [label, hint] of [
    ['Display name', 'Saved elsewhere: Saved there'],
    ['Theme', 'Saved elsewhere: dark'],
    ['Locale', 'A language tag, such as de-CH.'], // changed there only
    ['Time zone', 'Such as Europe/Zurich.'], // changed here only
  ]) {
    assert.equal(await description(other.getByLabel(label)), hint, label);
  }

  const { status, sent } = await saves(other);
  assert.equal(status, 200);
  assert.equal(sent.version, 1, 'the newer version was read');
  await says(other, 'This is version 2.');
  await reload(page);
  await says(page, 'This is version 2.');
  await has(page, { 'Display name': 'Typed here', Theme: 'light', Locale: 'fr', 'Time zone': 'Asia/Tokyo' });
});

test('a tab with old settings can take the newer ones', withDatabase, async (t) => {
  const { other } = await changeElsewhere(t);
  await other.getByRole('button', { name: 'Discard changes' }).click();
  await says(other, 'This is version 1.');
  await has(other, { 'Display name': 'Saved there', Theme: 'dark', Locale: 'fr', 'Time zone': '' });
  assert.equal(await other.getByText('Saved elsewhere').count(), 0);

  await other.getByLabel('Locale').fill('it');
  assert.equal((await saves(other)).status, 200);
  await says(other, 'This is version 2.');
});

test('the backend’s words for a setting that it refuses are shown', withDatabase, async (t) => {
  const page = await openAs(t, await newUser('Emmy'));
  await page.getByLabel('Locale').fill('not a locale');
  assert.equal((await saves(page)).status, 400);
  await page.getByRole('status').getByText('locale must be a BCP 47 language tag such as de-CH').waitFor();
  await has(page, { Locale: 'not a locale' });

  await page.getByLabel('Locale').fill('de-CH');
  assert.equal((await saves(page)).status, 200);
  await says(page, 'This is version 1.');
});

test('what is typed while the settings are being saved stays', withDatabase, async (t) => {
  const page = await openAs(t, await newUser('Hypatia'));
  let letThrough;
  const held = new Promise((resolve) => (letThrough = resolve));
  await page.route(`${env.api}/account/settings`, async (route) => {
    if (route.request().method() === 'PUT') await held;
    return route.continue();
  });
  await page.getByLabel('Display name').fill(' Hypatia ');
  await page.getByRole('button', { name: 'Save' }).click();
  await says(page, 'Saving…');
  await page.getByLabel('Locale').fill('el');
  letThrough();
  await says(page, 'This is version 1.');
  await has(page, { 'Display name': 'Hypatia', Locale: 'el' });
  await reload(page);
  await says(page, 'This is version 1.');
  await has(page, { 'Display name': 'Hypatia', Locale: '' });
});

test('settings that cannot be sent are not lost', withDatabase, async (t) => {
  const page = await openAs(t, await newUser('Katherine'));
  await page.getByLabel('Display name').fill('Katherine');
  t.after(() => control('backend/up'));
  await control('backend/down');
  await page.getByRole('button', { name: 'Save' }).click();
  await says(page, 'Your settings are not saved. The backend does not answer.');
  await has(page, { 'Display name': 'Katherine' });

  await control('backend/up');
  await says(page, 'The backend says that you are');
  assert.equal((await saves(page)).status, 200);
  await says(page, 'This is version 1.');
});

test('without a database the settings are a sentence, and the rest of the page works', async (t) => {
  const message = noDatabase ?? 'the database is unavailable, try again shortly';
  const { email } = await newUser('Rosalind');
  const page = await open(t);
  if (!noDatabase) await refuse(page, message);
  await signIn(page, email);
  await page.getByRole('status').getByText(`Your settings cannot be shown. The backend says “${message}”.`).waitFor();
  assert.equal(await page.getByLabel('Display name').count(), 0);

  await says(page, 'The backend says that you are');
  const asked = profileRequests(page).length;
  await page.getByRole('button', { name: 'Ask again' }).click();
  await eventually('the page asked for the profile again', () => profileRequests(page).length > asked);
  for (const { request } of profileRequests(page)) assert.equal((await request.response()).status(), 200);
  assert.deepEqual(page.problems.filter((problem) => problem !== `${env.api}/account: 503`), []);

  if (noDatabase) return;
  await page.unroute(`${env.api}/account`);
  await page.getByRole('button', { name: 'Try again' }).click();
  await says(page, 'They were never saved.');
  await page.locator(':focus', { hasText: 'Your settings' }).waitFor();
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds no fault in the settings in ${colorScheme}`, withDatabase, async (t) => {
    const { other } = await changeElsewhere(t, { colorScheme, viewport: { width: 320, height: 800 } });
    await hasNoFault(other, 'changed elsewhere');
    await fits(other);

    await other.getByLabel('Theme').selectOption('system');
    await saves(other);
    await says(other, 'This is version 2.');
    await hasNoFault(other, 'saved');

    await other.getByLabel('Time zone').fill('Nowhere');
    await saves(other);
    await says(other, 'Your settings are not saved.');
    await hasNoFault(other, 'refused');
    await fits(other);

    await refuse(other, 'the database is unavailable, try again shortly');
    await reload(other);
    await says(other, 'Your settings cannot be shown.');
    await hasNoFault(other, 'no database');
  });
}

/** openAs opens the page as a user, with the settings shown. */
async function openAs(t, { email }, options) {
  const page = await open(t, options);
  await signIn(page, email);
  await settingsAnswered(page);
  return page;
}

/** changeElsewhere opens two tabs and saves other settings in each. The second one is told that its own are old. */
async function changeElsewhere(t, options) {
  const page = await openAs(t, await newUser('Marie'), options);
  const other = await page.context().newPage();
  await other.goto(env.page);
  await settingsAnswered(other);

  await page.getByLabel('Display name').fill('Saved there');
  await page.getByLabel('Theme').selectOption('dark');
  await page.getByLabel('Locale').fill('fr');
  assert.equal((await saves(page)).status, 200);
  await says(page, 'This is version 1.');

  await other.getByLabel('Display name').fill('Typed here');
  await other.getByLabel('Theme').selectOption('light');
  await other.getByLabel('Time zone').fill('Asia/Tokyo');
  const { status, sent } = await saves(other);
  assert.equal(status, 409);
  assert.equal(sent.version, 0);
  await other.getByRole('status').getByRole('heading', { name: 'Your settings were changed elsewhere' }).waitFor();
  return { page, other };
}

/** saves presses Save, or does what is given, and returns what was sent and the status of the answer. */
async function saves(page, press = () => page.getByRole('button', { name: 'Save' }).click()) {
  const answered = page.waitForResponse(
    (response) => response.url() === `${env.api}/account/settings` && response.request().method() === 'PUT',
  );
  await press();
  const response = await answered;
  return { status: response.status(), sent: response.request().postDataJSON() };
}

/** has waits until the form has the values. */
async function has(page, values) {
  for (const [label, value] of Object.entries(values)) {
    const field = page.getByLabel(label, { exact: true });
    await eventually(`${label} is “${value}”`, async () => (await field.inputValue()) === value);
  }
}

/** description returns the text that describes a field to users of a screen reader. */
function description(field) {
  return field.evaluate((element) => document.getElementById(element.getAttribute('aria-describedby')).textContent);
}

/** refuse has GET /account answer 503. */
async function refuse(page, message) {
  await page.route(`${env.api}/account`, (route) => {
    if (route.request().method() !== 'GET') return route.continue();
    return route.fulfill({
      status: 503,
      headers: { 'Access-Control-Allow-Origin': env.page },
      json: { code: 'unavailable', message, details: null },
    });
  });
}
