// What every test has to know of the service account's panel.

/** noDatabase is what the backend says where it has no database. It is undefined where it has one. */
export const noDatabase = await ask();

async function ask() {
  const { CLERK_URL, API_URL, PAGE_URL } = process.env;
  const token = await (await fetch(`${CLERK_URL}/token?user_id=user_ada&azp=${PAGE_URL}`)).text();
  const response = await fetch(`${API_URL}/account`, { headers: { Authorization: `Bearer ${token}` } });
  const { message = '' } = await response.json();
  return message.startsWith('no database is configured') ? message : undefined;
}

/** answered waits until the page shows the settings, or why it does not. */
export const answered = (page) =>
  page.getByRole('region', { name: 'Your settings' }).getByRole('button').first().waitFor();

/** expects says that a response of the backend is an error on purpose. */
export const expects = (response) => Boolean(noDatabase) && response.url() === `${process.env.API_URL}/account`;
