/** Config is what /config.json tells the page: which Clerk it signs in with, and where the backend is. */
export interface Config {
  /** Clerk's publishable key, pk_test_… or pk_live_…. */
  publishableKey: string;
  /** The backend, such as http://localhost:4000. */
  apiUrl: string;
  /** The stand-in for Clerk, where there is one. */
  standIn?: StandIn;
}

export interface StandIn {
  /** Where it answers the Frontend API: Clerk's proxyUrl. */
  url: string;
  /** Who can sign in with one click. */
  accounts: Account[];
}

export interface Account {
  userId: string;
  name: string;
  /** What tells the account apart: its email address, or why it is there. */
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
