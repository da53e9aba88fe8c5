// The browser that the suite drives, and what every test does with it.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

/** env is where the servers are that browser_test.go started. */
export const env = {
  page: process.env.PAGE_URL,
  foreignPage: process.env.FOREIGN_PAGE_URL,
  hostedPage: process.env.HOSTED_PAGE_URL,
  clerk: process.env.CLERK_URL,
  api: process.env.API_URL,
  control: process.env.CONTROL_URL,
};

const flags = [
  '--no-sandbox', // the tests may run as root
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Chromium itself asks Google about accounts and the like, whatever the flags. Nothing gets out.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
];

/**
 * panels are what optional services add to the page: the files named *.panel.mjs. Each says when its panel is
 * answered, and which responses of the backend it expects to fail.
 */
const panels = await Promise.all(
  readdirSync(new URL('.', import.meta.url))
    .filter((name) => name.endsWith('.panel.mjs'))
    .map((name) => import(`./${name}`)),
);

/** panelsAnswered waits until the page shows every panel. */
export const panelsAnswered = (page) => Promise.all(panels.map((panel) => panel.answered(page)));

/** patience ends a wait that will never be over. It has room for a machine whose processors are all busy. */
const patience = 60_000;

let browser;

/** useBrowser starts a browser for the tests of a file, and checks in the end that it asked nobody but this machine. */
export function useBrowser() {
  const folder = mkdtempSync(join(tmpdir(), 'browser-'));
  const netLog = join(folder, 'net-log.json');
  before(async () => {
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM,
      timeout: 2 * patience,
      args: [...flags, `--log-net-log=${netLog}`],
    });
  });
  after(async () => {
    await browser?.close();
    const foreign = requestsBeyondLoopback(readFileSync(netLog, 'utf8'));
    rmSync(folder, { recursive: true, force: true });
    assert.deepEqual(foreign, [], 'requests that left this machine');
  });
}

/**
 * requestsBeyondLoopback reads Chromium's own log of every request, those of workers included, and leaves out what
 * Chromium asks for itself: that has no origin as its initiator, and no frame.
 */
function requestsBeyondLoopback(netLog) {
  const urls = JSON.parse(netLog)
    .events.map((event) => event.params)
    .filter((params) => params?.url && params.initiator) // the start of a request
    .filter((params) => params.initiator !== 'not an origin' || params.request_type.includes('frame'))
    .map((params) => params.url)
    .filter((url) => /^(https?|wss?):/.test(url));
  assert.ok(urls.some((url) => url.startsWith(env.api)), 'the network log has the requests to the backend');
  return [...new Set(urls)].filter((url) => !['localhost', '127.0.0.1', '[::1]'].includes(new URL(url).hostname));
}

/** open opens a page with cookies of its own, and closes it after the test. Its requests are kept in page.sent. */
export async function open(t, { url = env.page, ...options } = {}) {
  const context = await browser.newContext({ ...options, permissions: ['clipboard-read', 'clipboard-write'] });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  t.after(async () => {
    // A route that is being answered when the test is over would fail the next one.
    await page.unrouteAll({ behavior: 'ignoreErrors' });
    await context.close();
  });
  page.sent = [];
  page.problems = [];
  page.on('request', (request) => page.sent.push(request));
  page.on('requestfailed', (request) => {
    const cause = request.failure()?.errorText;
    if (page.reloading && cause === 'net::ERR_ABORTED') return; // under way when the page was left
    page.problems.push(`${request.url()}: ${cause}`);
  });
  page.on('response', (response) => {
    if (panels.some((panel) => panel.expects(response))) return;
    if (response.status() >= 400) page.problems.push(`${response.url()}: ${response.status()}`);
  });
  page.on('pageerror', (error) => page.problems.push(String(error)));
  await page.goto(url);
  return page;
}

/** reload loads the page again. What it aborts is no problem of the page. */
export async function reload(page) {
  page.reloading = true;
  await page.reload();
  page.reloading = false;
}

export async function signIn(page, name = 'Ada Lovelace') {
  await page.getByRole('button', { name }).click();
  await page.getByRole('heading', { name: 'You are signed in' }).waitFor();
}

const folder = fileURLToPath(new URL('../../web/screenshots/', import.meta.url));

/** pictures are the forms in which web/screenshots has the page. */
export const pictures = ['light', 'dark'].flatMap((colorScheme) =>
  [['', { width: 1120, height: 600 }], ['-360', { width: 360, height: 640 }]].map(([size, viewport]) => ({
    name: colorScheme + size,
    options: { colorScheme, viewport, deviceScaleFactor: 1.5 },
    path: (name) => `${folder}${name}${size}-${colorScheme}.png`,
  })),
);

/** newUser adds a user to the fake Clerk. A page shows the users who were there when it was opened. */
export async function newUser(name) {
  const email = `${name}.${randomUUID()}@example.com`;
  const response = await fetch(`${env.clerk}/fakeclerk/users`, {
    method: 'POST',
    body: JSON.stringify({ first_name: name, email_addresses: [{ email_address: email }] }),
  });
  const { id } = await response.json();
  return { id, email };
}

/** says waits until the page shows the text. */
export const says = (page, text) => page.getByText(text).first().waitFor();

/** profileRequests are the requests for the profile, preflights left out, with the token that each carried. */
export function profileRequests(page) {
  return page.sent
    .filter((request) => request.url() === `${env.api}/user/profile` && request.method() === 'GET')
    .map((request) => {
      const [, token] = request.headers().authorization?.match(/^Bearer (.+)$/) ?? [];
      return { request, token, claims: token && claimsOf(token) };
    });
}

export function claimsOf(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
}

/** eventually waits until the condition holds. */
export async function eventually(what, condition) {
  for (const end = Date.now() + patience; !(await condition()); await wait(50)) {
    assert.ok(Date.now() < end, `never: ${what}`);
  }
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** hasNoFault checks what the page shows with axe. */
export async function hasNoFault(page, where) {
  await page.evaluate(axe);
  // The time zones would take most of the time.
  const { violations } = await page.evaluate(() => globalThis.axe.run({ exclude: [['#timeZone option']] }));
  const faults = violations.flatMap(({ id, impact, nodes }) => nodes.map(({ target }) => `${impact} ${id}: ${target}`));
  assert.deepEqual(faults, [], where);
}

/** fits checks that the page is no wider than its window. */
export async function fits(page) {
  const [content, view] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(content <= view, `the content is ${content} pixels wide`);
}

/** wordsAreWhole checks that no line of the page breaks inside a word. */
export async function wordsAreWhole(page) {
  const broken = await page.evaluate(() => {
    const words = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      for (const { 0: word, index } of texts.currentNode.data.matchAll(/[\p{L}\p{N}]+/gu)) {
        const range = document.createRange();
        range.setStart(texts.currentNode, index);
        range.setEnd(texts.currentNode, index + word.length);
        if (new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size > 1) words.push(word);
      }
    }
    return words;
  });
  assert.deepEqual(broken, []);
}

/** control tells the Go side to do something, such as "backend/down". */
export async function control(action) {
  const response = await fetch(`${env.control}/${action}`, { method: 'POST' });
  assert.ok(response.ok, `${action}: ${response.status} ${await response.text()}`);
}
