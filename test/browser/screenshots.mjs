// Renews the pictures in web/screenshots.
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { settingsAnswered } from './account.mjs'; // account:
import { open, says, signIn, useBrowser } from './browser.mjs';

useBrowser();

const folder = fileURLToPath(new URL('../../web/screenshots/', import.meta.url));
const wide = { viewport: { width: 1120, height: 640 }, deviceScaleFactor: 2 };

for (const colorScheme of ['light', 'dark']) {
  test(`screenshots: ${colorScheme}`, async (t) => {
    const page = await open(t, { colorScheme, ...wide });
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await page.screenshot({ path: `${folder}signed-out-${colorScheme}.png` });
    await signIn(page);
    await says(page, 'The backend says that you are');
    await settingsAnswered(page); // account:
    await says(page, /^4\d s$/);
    await page.screenshot({ path: `${folder}signed-in-${colorScheme}.png`, fullPage: true });
  });
}
