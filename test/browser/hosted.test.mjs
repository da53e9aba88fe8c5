// The page with a publishable key and no fake Clerk, which is how it is deployed. The test plays the instance's host:
// it gives out Clerk's script from npm and passes the Frontend API on to the fake Clerk.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { env, eventually, open, profileRequests, says, useBrowser } from './browser.mjs';

const instance = 'https://example.clerk.accounts.dev';
const portal = 'https://example.accounts.dev';

useBrowser();

test('Clerk’s script comes from the instance’s own host', async (t) => {
  const page = await openHosted(t);
  await page.getByRole('button', { name: 'Sign in with Clerk' }).waitFor();
  const scripts = page.sent.filter((request) => request.resourceType() === 'script').map((request) => request.url());
  assert.ok(scripts.some((url) => /^https:\/\/example\.clerk\.accounts\.dev\/npm\/@clerk\/clerk-js@6\/dist\/clerk\.browser\.js$/.test(url)), String(scripts));
  assert.equal(await page.getByText('fake Clerk').count(), 0);
});

test('signing in happens on Clerk’s own page, which leads back', async (t) => {
  const page = await openHosted(t);
  await page.getByRole('button', { name: 'Sign in with Clerk' }).click();
  await page.waitForURL(`${portal}/sign-in**`);
  const back = new URL(page.url()).hash.slice(1) + new URL(page.url()).search;
  assert.ok(decodeURIComponent(back).includes(env.hostedPage), back);
});

test('a session of the instance gives the profile', async (t) => {
  const page = await openHosted(t);
  await page.getByRole('button', { name: 'Sign in with Clerk' }).waitFor();
  const ticket = await (await fetch(`${env.clerk}/ticket?email=ada@example.com`)).text();
  await page.evaluate(async (ticket) => {
    const { client, setActive } = window.Clerk;
    const signIn = await client.signIn.create({ strategy: 'ticket', ticket });
    await setActive({ session: signIn.createdSessionId });
  }, ticket);
  await says(page, 'The backend says who you are');
  await eventually('the token was given to this page', () => profileRequests(page)[0]?.claims?.azp === env.hostedPage);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
});

async function openHosted(t) {
  const page = await open(t, { url: 'about:blank' });
  await page.route(`${instance}/npm/@clerk/clerk-js@6/dist/*`, (route) => {
    const file = new URL(route.request().url()).pathname.split('/').at(-1);
    return route.fulfill({
      path: fileURLToPath(new URL(`../../web/node_modules/@clerk/clerk-js/dist/${file}`, import.meta.url)),
      headers: { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'text/javascript' },
    });
  });
  await page.route(`${instance}/v1/**`, async (route) => {
    const request = route.request();
    const { pathname, search } = new URL(request.url());
    const response = await fetch(env.clerk + pathname + search, {
      method: request.method(),
      headers: { Origin: env.hostedPage, 'Content-Type': request.headers()['content-type'] ?? 'text/plain' },
      body: request.postData() ?? undefined,
    });
    const body = await response.json();
    if (body.display_config) body.display_config.sign_in_url = `${portal}/sign-in`;
    return route.fulfill({ status: response.status, headers: Object.fromEntries(response.headers), json: body });
  });
  await page.route(`${portal}/**`, (route) => route.fulfill({
    contentType: 'text/html',
    body: '<link rel="icon" href="data:,">Clerk signs in here.', // no icon, or Chromium asks for one past this route
  }));
  await page.route('https://clerk-telemetry.com/**', (route) => route.fulfill({ status: 204 }));
  await page.goto(env.hostedPage);
  return page;
}
