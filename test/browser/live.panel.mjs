// What every test has to know of the live connection's panel.

/** answered waits until the page is connected. */
export const answered = (page) =>
  page.getByRole('region', { name: 'A live connection' }).getByText('Connected', { exact: true }).waitFor();

/** expects says that a response of the backend is an error on purpose. */
export const expects = () => false;
