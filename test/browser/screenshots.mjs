// Renews the pictures in web/screenshots.
import { test } from 'node:test';

import { open, panelsAnswered, pictures, says, signIn, useBrowser } from './browser.mjs';

useBrowser();

for (const { options, path, name } of pictures) {
  test(`screenshots: ${name}`, async (t) => {
    const page = await open(t, options);
    await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await page.screenshot({ path: path('signed-out'), fullPage: true });
    await signIn(page);
    await says(page, 'The backend says who you are');
    await panelsAnswered(page);
    await says(page, /^[345]\d s$/);
    await page.screenshot({ path: path('signed-in'), fullPage: true });
  });
}
