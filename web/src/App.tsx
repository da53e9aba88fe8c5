import { ClerkFailed, ClerkLoading, Show, useClerk, useUser } from '@clerk/react';

import type { Config } from './config';
import { SignedIn } from './SignedIn';
import { SignedOut } from './SignedOut';

export function App({ config }: { config: Config }) {
  return (
    <>
      <Header config={config} />
      <main className="page">
        <ClerkLoading>
          <p className="quiet" role="status">
            Loading Clerk…
          </p>
        </ClerkLoading>
        <ClerkFailed>
          <section className="card notice notice-bad" role="alert">
            <h1>Clerk did not load</h1>
            <p>
              {config.fakeClerk
                ? `The fake Clerk does not answer at ${config.fakeClerk.url}. Start it, then load this page again.`
                : 'Check the connection and the publishable key, then load this page again.'}
            </p>
          </section>
        </ClerkFailed>
        <Show when="signed-in">
          <SignedIn config={config} />
        </Show>
        <Show when="signed-out">
          <SignedOut config={config} />
        </Show>
      </main>
    </>
  );
}

function Header({ config }: { config: Config }) {
  const { signOut } = useClerk();
  const { user } = useUser();
  return (
    <header className="bar">
      <p className="brand">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="9" />
          <circle cx="16" cy="12" r="5" />
          <path d="M7 26a9 9 0 0 1 18 0z" />
        </svg>
        <span>
          Who is calling?
          {config.fakeClerk && <small>with the fake Clerk</small>}
        </span>
      </p>
      {user && (
        <button type="button" className="button" onClick={() => signOut(() => {})}>
          Sign out
        </button>
      )}
    </header>
  );
}
