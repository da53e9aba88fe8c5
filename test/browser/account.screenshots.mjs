// Renews the pictures of the settings in web/screenshots.
import { test } from 'node:test';

import { answered, noDatabase } from './account.panel.mjs';
import { open, pictures, says, signIn, useBrowser } from './browser.mjs';

useBrowser();

for (const { options, path, name } of pictures) {
  test(`screenshots of the settings: ${name}`, { skip: noDatabase }, async (t) => {
    const page = await open(t, options);
    await signIn(page);
    await answered(page);
    await page.getByLabel('Display name').fill('Augusta Ada King, Countess of Lovelace, '.repeat(3));
    await page.getByRole('button', { name: 'Save' }).click();
    await says(page, 'Not saved. Correct the marked field.');
    await page.getByRole('region', { name: 'Your settings' }).screenshot({ path: path('field-error') });
  });
}
