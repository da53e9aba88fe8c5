// Renews the pictures in web/screenshots.
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { noDatabase, settingsAnswered } from './account.mjs'; // account:
import { open, says, signIn, useBrowser } from './browser.mjs';

useBrowser();

const folder = fileURLToPath(new URL('../../web/screenshots/', import.meta.url));
const sizes = {
  '': { viewport: { width: 1120, height: 600 }, deviceScaleFactor: 1.5 },
  '-360': { viewport: { width: 360, height: 640 }, deviceScaleFactor: 1.5 },
};

for (const colorScheme of ['light', 'dark']) {
  for (const [size, options] of Object.entries(sizes)) {
    test(`screenshots: ${colorScheme}${size}`, async (t) => {
      const page = await open(t, { colorScheme, ...options });
      const path = (name) => `${folder}${name}${size}-${colorScheme}.png`;
      await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
      await page.screenshot({ path: path('signed-out'), fullPage: true });
      await signIn(page);
      await says(page, 'The backend says who you are');
      await settingsAnswered(page); // account:
      await says(page, /^[345]\d s$/);
      await page.screenshot({ path: path('signed-in'), fullPage: true });

      if (noDatabase) return; // account: and the rest
      await page.getByLabel('Display name').fill('Augusta Ada King, Countess of Lovelace, '.repeat(3));
      await page.getByRole('button', { name: 'Save' }).click();
      await says(page, 'Not saved. Correct the marked field.');
      await page.getByRole('region', { name: 'Your settings' }).screenshot({ path: path('field-error') });
    });
  }
}
