/** Config is the content of /config.json: the Clerk instance to sign in with, and the backend's address. */
export interface Config {
  /** Clerk's publishable key, pk_test_… or pk_live_…. */
  publishableKey: string;
  /** The backend's address, such as http://localhost:4000. */
  apiUrl: string;
  /** Set when the page signs in to the fake Clerk. */
  fakeClerk?: FakeClerk;
}

export interface FakeClerk {
  /** The address of its Frontend API, for Clerk's proxyUrl. */
  url: string;
  /** The users who can sign in with one click. */
  accounts: Account[];
}

export interface Account {
  userId: string;
  name: string;
  /** The email address, or the reason why the account exists. */
  note: string;
}

export async function loadConfig(): Promise<Config> {
  const response = await fetch('/config.json', { cache: 'no-store' });
  // A static host may answer every unknown path with the page itself.
  if (!response.ok || !response.headers.get('Content-Type')?.includes('json')) {
    throw new Error('There is no /config.json here.');
  }
  const config: Config = await response.json();
  if (!/^pk_(test|live)_./.test(config.publishableKey)) throw new Error('/config.json has no publishable key.');
  return config;
}
