// The settings, which the page reads from the service account and saves there.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { answered as settingsAnswered, noDatabase } from './account.panel.mjs';
import {
  control, env, eventually, fits, hasNoFault, newUser, open, profileRequests, reload, says, signIn, useBrowser,
} from './browser.mjs';

useBrowser();

const withDatabase = { skip: noDatabase };

test('settings are shown, saved, and still there after a reload', withDatabase, async (t) => {
  const page = await openAs(t, await newUser('Sophie'));
  await has(page, { 'Display name': '', Theme: 'system', Locale: '', 'Time zone': '' });

  await page.getByLabel('Theme').selectOption('Dark');
  await page.getByLabel('Locale').selectOption('German (Switzerland)');
  await page.getByLabel('Time zone').selectOption('Zurich');
  await page.getByLabel('Display name').fill('  Sophie G. ');
  const first = await saves(page, () => page.keyboard.press('Enter'));
  assert.deepEqual(first, {
    status: 200,
    sent: { version: 0, displayName: '  Sophie G. ', locale: 'de-CH', timeZone: 'Europe/Zurich', theme: 'dark' },
  });
  await isSaved(page);
  const saved = { 'Display name': 'Sophie G.', Theme: 'dark', Locale: 'de-CH', 'Time zone': 'Europe/Zurich' };
  await has(page, saved);
  await page.locator(':focus').and(page.getByLabel('Display name')).waitFor();

  await reload(page);
  await has(page, saved);
  await page.getByLabel('Time zone').selectOption('Not set');
  const second = await saves(page);
  assert.deepEqual(second.sent, { version: 1, displayName: 'Sophie G.', locale: 'de-CH', timeZone: '', theme: 'dark' });
  await isSaved(page);
  assert.doesNotMatch(await page.getByRole('region', { name: 'Your settings' }).innerText(), /version/i);
  assert.deepEqual(page.problems, []);
});

test('settings are saved only if something has changed', withDatabase, async (t) => {
  const page = await openAs(t, await newUser('Dorothy'));
  const save = page.getByRole('button', { name: 'Save' });
  const discard = page.getByRole('button', { name: 'Discard changes' });
  const name = page.getByLabel('Display name');
  const inactive = async () => (await save.isDisabled()) && (await discard.isDisabled());
  assert.ok(await inactive(), 'nothing has changed');
  await name.press('Enter');
  await save.press('Enter');

  await name.fill('Dorothy');
  assert.ok((await save.isEnabled()) && (await discard.isEnabled()));
  await name.fill('');
  await eventually('what was typed is gone again', inactive);
  await page.getByLabel('Theme').selectOption('Dark');
  await discard.click();
  await has(page, { Theme: 'system' });
  await eventually('the change is discarded', inactive);

  await name.fill('Dorothy V.');
  await saves(page);
  await isSaved(page);
  assert.ok(await inactive(), 'all is saved');
  const sent = page.sent.filter((request) => request.method() === 'PUT');
  assert.equal(sent.length, 1, 'an inactive button sends nothing');
});

const colors = {
  light: { color: 'rgb(22, 24, 31)', background: 'rgb(246, 246, 249)', card: 'rgb(255, 255, 255)' },
  dark: { color: 'rgb(236, 238, 244)', background: 'rgb(14, 15, 20)', card: 'rgb(23, 25, 34)' },
};

for (const [system, other] of [['light', 'dark'], ['dark', 'light']]) {
  test(`a saved theme has its colors on a ${system} system`, withDatabase, async (t) => {
    const page = await openAs(t, await newUser('Mary'), { colorScheme: system });
    await looks(page, system);
    for (const [label, scheme] of [['Light', 'light'], ['Dark', 'dark'], ['System', system]]) {
      await page.getByLabel('Theme').selectOption(label);
      if (await page.getByRole('button', { name: 'Save' }).isEnabled()) await saves(page);
      await looks(page, scheme);
      await reload(page);
      await looks(page, scheme);
    }
    await page.emulateMedia({ colorScheme: other });
    await looks(page, other); // the theme is the system's

    await page.getByLabel('Theme').selectOption(system === 'light' ? 'Light' : 'Dark');
    await saves(page);
    await looks(page, system);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await looks(page, other);
  });
}

test('time zones, locales and themes are chosen from lists', withDatabase, async (t) => {
  const page = await openAs(t, await newUser('Annie'));
  const options = (label) => page.getByLabel(label, { exact: true }).locator('option').allTextContents();
  assert.deepEqual(await options('Theme'), ['System', 'Light', 'Dark']);
  const locales = await options('Locale');
  assert.equal(locales[0], 'Not set');
  for (const label of ['Danish', 'English (United Kingdom)', 'French (Canada)']) assert.ok(locales.includes(label), label);
  const known = await page.evaluate(() => Intl.supportedValuesOf('timeZone'));
  const values = await page.getByLabel('Time zone').locator('option').evaluateAll((all) => all.map(({ value }) => value));
  assert.deepEqual(new Set(values), new Set(['', 'UTC', ...known]));
  const sent = { version: 0, displayName: '', theme: 'system', locale: 'da', timeZone: 'America/Indiana/Knox' };
  await page.getByLabel('Locale').selectOption('Danish');
  await page.getByLabel('Time zone').selectOption('Knox, Indiana');
  assert.deepEqual(await saves(page), { status: 200, sent });
});

test('the backend accepts every choice of the lists', withDatabase, async (t) => {
  const user = await newUser('Mileva');
  const page = await openAs(t, user);
  const values = (label) => page.getByLabel(label).locator('option').evaluateAll((all) => all.map(({ value }) => value));
  const [locales, timeZones] = [await values('Locale'), await values('Time zone')];
  let version = 0;
  for (let i = 0; i < Math.max(locales.length, timeZones.length); i++) {
    const settings = { version, displayName: '', theme: 'system', locale: locales[i] ?? '', timeZone: timeZones[i] ?? '' };
    const response = await put(user, settings);
    assert.deepEqual(await response.json(), { ...settings, version: ++version });
  }
});

test('values that another client saved stay', withDatabase, async (t) => {
  const user = await newUser('Lise');
  const strange = { displayName: '', theme: 'light', locale: 'gsw-LI', timeZone: 'US/Pacific' };
  assert.equal((await put(user, { ...strange, version: 0 })).status, 200);
  const page = await openAs(t, user);
  await has(page, { Locale: 'gsw-LI', 'Time zone': 'US/Pacific' });
  await page.getByLabel('Time zone').selectOption('Tokyo');
  await page.getByLabel('Time zone').selectOption('US/Pacific');
  await page.getByLabel('Display name').fill('Lise');
  assert.deepEqual((await saves(page)).sent, { ...strange, version: 1, displayName: 'Lise' });
});

test('a tab with old settings is told so, keeps what was typed, and can save it', withDatabase, async (t) => {
  const { page, other } = await changeElsewhere(t);
  await has(other, { 'Display name': 'Typed here', Theme: 'light', Locale: 'fr', 'Time zone': 'Asia/Tokyo' });
  for (const [label, hint] of [
    ['Display name', 'Saved elsewhere: Saved there'],
    ['Theme', 'Saved elsewhere: Dark'],
    ['Locale', undefined], // changed there only
    ['Time zone', undefined], // changed here only
  ]) {
    assert.equal(await description(other.getByLabel(label)), hint, label);
  }

  const { status, sent } = await saves(other);
  assert.equal(status, 200);
  assert.equal(sent.version, 1, 'the newer version was read');
  await isSaved(other);
  await reload(page);
  await has(page, { 'Display name': 'Typed here', Theme: 'light', Locale: 'fr', 'Time zone': 'Asia/Tokyo' });
});

test('a tab with old settings can take the newer ones', withDatabase, async (t) => {
  const { other } = await changeElsewhere(t);
  await other.getByRole('button', { name: 'Discard changes' }).click();
  await has(other, { 'Display name': 'Saved there', Theme: 'dark', Locale: 'fr', 'Time zone': '' });
  assert.equal(await other.getByText('Saved elsewhere').count(), 0);

  await other.getByLabel('Locale').selectOption('it');
  assert.equal((await saves(other)).status, 200);
  await isSaved(other);
});

test('each field that the backend refuses says so, all of them at once', withDatabase, async (t) => {
  const page = await openWithErrors(t, await newUser('Emmy'));
  await page.getByRole('status').getByText('Not saved. Correct the marked fields.').waitFor();
  const errors = {
    'Display name': 'It must be at most 100 characters, without control characters.',
    Locale: 'It must be a BCP 47 language tag such as de-CH.',
    'Time zone': 'It must be a name of the IANA time zone database such as Europe/Zurich.',
  };
  const shown = async () => {
    const all = {};
    for (const label of ['Display name', 'Theme', 'Locale', 'Time zone']) {
      const field = page.getByLabel(label, { exact: true });
      if ((await field.getAttribute('aria-invalid')) === 'true') all[label] = await description(field);
    }
    return all;
  };
  assert.deepEqual(await shown(), errors);
  await page.locator(':focus').and(page.getByLabel('Display name')).waitFor();

  await page.getByLabel('Locale').selectOption('German (Austria)');
  delete errors.Locale;
  assert.deepEqual(await shown(), errors);
  await page.locator(':focus').and(page.getByLabel('Display name')).waitFor();
  await page.getByLabel('Display name').fill('Emmy');
  await page.getByLabel('Time zone').selectOption('Not set');
  assert.deepEqual(await shown(), {});
  assert.equal((await saves(page)).status, 200);
  await isSaved(page);
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
  await page.getByLabel('Locale').selectOption('Greek');
  letThrough();
  await isSaved(page);
  await has(page, { 'Display name': 'Hypatia', Locale: 'el' });
  await reload(page);
  await has(page, { 'Display name': 'Hypatia', Locale: '' });
});

test('settings that cannot be sent are not lost', withDatabase, async (t) => {
  const page = await openAs(t, await newUser('Katherine'));
  await page.getByLabel('Display name').fill('Katherine');
  t.after(() => control('backend/up'));
  await control('backend/down');
  await page.getByRole('button', { name: 'Save' }).click();
  await says(page, 'Not saved. The backend does not answer.');
  await has(page, { 'Display name': 'Katherine' });

  await control('backend/up');
  await says(page, 'The backend says who you are');
  assert.equal((await saves(page)).status, 200);
  await isSaved(page);
});

test('without a database the settings are a sentence, and the rest of the page works', async (t) => {
  const message = noDatabase ?? 'the database is unavailable, try again shortly';
  const { email } = await newUser('Rosalind');
  const page = await open(t);
  if (!noDatabase) await refuse(page, message);
  await signIn(page, email);
  await page.getByRole('status').getByText(`Your settings cannot be shown. The backend says “${message}”.`).waitFor();
  assert.equal(await page.getByLabel('Display name').count(), 0);

  await says(page, 'The backend says who you are');
  const asked = profileRequests(page).length;
  await page.getByRole('button', { name: 'Ask again' }).click();
  await eventually('the page asked for the profile again', () => profileRequests(page).length > asked);
  for (const { request } of profileRequests(page)) assert.equal((await request.response()).status(), 200);
  assert.deepEqual(page.problems.filter((problem) => problem !== `${env.api}/account: 503`), []);

  if (noDatabase) return;
  await page.unroute(`${env.api}/account`);
  await page.getByRole('button', { name: 'Try again' }).click();
  await has(page, { Theme: 'system' });
  await page.locator(':focus', { hasText: 'Your settings' }).waitFor();
});

for (const colorScheme of ['light', 'dark']) {
  test(`axe finds no fault in the settings in ${colorScheme}`, withDatabase, async (t) => {
    const { other } = await changeElsewhere(t, { colorScheme, viewport: { width: 320, height: 800 } });
    await hasNoFault(other, 'changed elsewhere');
    await fits(other);

    await other.getByLabel('Theme').selectOption('system');
    await saves(other);
    await isSaved(other);
    await hasNoFault(other, 'saved');

    await other.getByLabel('Display name').fill('x'.repeat(101));
    await saves(other);
    await says(other, 'Not saved. Correct the marked field.');
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
  await page.getByLabel('Locale').selectOption('fr');
  assert.equal((await saves(page)).status, 200);
  await isSaved(page);

  await other.getByLabel('Display name').fill('Typed here');
  await other.getByLabel('Theme').selectOption('light');
  await other.getByLabel('Time zone').selectOption('Asia/Tokyo');
  const { status, sent } = await saves(other);
  assert.equal(status, 409);
  assert.equal(sent.version, 0);
  await other.getByRole('status').getByRole('heading', { name: 'Your settings were changed elsewhere' }).waitFor();
  return { page, other };
}

/**
 * openWithErrors opens the page as a user whose browser has a locale and a time zone that the backend does not know, and
 * saves them with a display name that is too long.
 */
async function openWithErrors(t, { email }, options) {
  const page = await open(t, options);
  await page.route(`${env.api}/account`, async (route) => {
    if (route.request().method() !== 'GET') return route.continue();
    const response = await route.fetch();
    const account = await response.json();
    Object.assign(account.settings, { locale: 'not a locale', timeZone: 'Mars/Olympus' });
    return route.fulfill({ response, json: account });
  });
  await signIn(page, email);
  await settingsAnswered(page);
  await page.getByLabel('Display name').fill('x'.repeat(101));
  assert.equal((await saves(page)).status, 400);
  return page;
}

/** looks waits until the page has the colors of a scheme. */
async function looks(page, scheme) {
  await eventually(`the page is ${scheme}`, () =>
    page.evaluate(({ color, background, card }) => {
      const root = getComputedStyle(document.documentElement);
      const first = document.querySelector('.card');
      return root.color === color && root.backgroundColor === background && first !== null && getComputedStyle(first).backgroundColor === card;
    }, colors[scheme]),
  );
}

/** isSaved waits until the page says that the settings are saved. */
const isSaved = (page) => page.getByRole('status').getByText('Saved', { exact: true }).waitFor();

/** put saves settings past the page, as another client does. */
async function put({ id }, settings) {
  const token = await (await fetch(`${env.clerk}/token?user_id=${id}&azp=${env.page}`)).text();
  return fetch(`${env.api}/account/settings`, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${token}` },
    body: JSON.stringify(settings),
  });
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

/** description returns the text that describes a field to users of a screen reader, undefined if there is none. */
function description(field) {
  return field.evaluate((element) => document.getElementById(element.getAttribute('aria-describedby'))?.textContent);
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
