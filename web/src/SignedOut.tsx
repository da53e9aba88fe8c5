import { SignInButton, SignUpButton, useSignIn } from '@clerk/react';
import { useState } from 'react';

import type { Account, Config, FakeClerk } from './config';

export function SignedOut({ config }: { config: Config }) {
  return (
    <section className="card columns" aria-labelledby="signed-out">
      <div className="stack">
        <h1 id="signed-out">You are signed out</h1>
        <p className="lead">The backend identifies a caller by a Clerk session token, and this browser has none.</p>
        <ol className="steps">
          <li>You sign in with Clerk.</li>
          <li>Clerk’s JavaScript holds a session token for the page. It is valid for a minute, and renewed in time.</li>
          <li>
            The page sends it with <code>GET /user/profile</code>.
          </li>
          <li>The backend verifies it and answers who you are.</li>
        </ol>
      </div>
      <div className="stack">{config.fakeClerk ? <Accounts fakeClerk={config.fakeClerk} /> : <HostedSignIn />}</div>
    </section>
  );
}

function HostedSignIn() {
  return (
    <div className="actions">
      <SignInButton>
        <button type="button" className="button button-main">
          Sign in with Clerk
        </button>
      </SignInButton>
      <SignUpButton>
        <button type="button" className="button">
          Sign up
        </button>
      </SignUpButton>
    </div>
  );
}

/** Accounts signs in to the fake Clerk with a ticket, Clerk's sign-in method that needs no form. */
function Accounts({ fakeClerk }: { fakeClerk: FakeClerk }) {
  const { signIn } = useSignIn();
  const [pending, setPending] = useState<string>();
  const [problem, setProblem] = useState<string>();

  async function signInAs(account: Account) {
    setPending(account.userId);
    setProblem(undefined);
    try {
      const response = await fetch(`${fakeClerk.url}/ticket?user_id=${encodeURIComponent(account.userId)}`);
      if (!response.ok) throw new Error(await response.text());
      const { error } = await signIn.ticket({ ticket: await response.text() });
      if (error) throw error;
      await signIn.finalize();
    } catch (error) {
      setProblem(`${account.name} cannot sign in: ${error instanceof Error ? textOf(error) : String(error)}`);
    } finally {
      setPending(undefined);
    }
  }

  return (
    <>
      <h2 id="accounts">Sign in as</h2>
      <ul className="accounts" aria-labelledby="accounts">
        {fakeClerk.accounts.map((account) => (
          <li key={account.userId}>
            <button
              type="button"
              className="account"
              aria-disabled={pending !== undefined}
              onClick={() => pending === undefined && signInAs(account)}
            >
              <span className="avatar" aria-hidden="true">
                {account.name.slice(0, 1)}
              </span>
              <span>
                <strong>{account.name}</strong>
                <small>{pending === account.userId ? 'Signing in…' : account.note}</small>
              </span>
            </button>
          </li>
        ))}
      </ul>
      <p className="problem" role="alert">
        {problem}
      </p>
    </>
  );
}

/** textOf returns Clerk's text for the user, or the error's own. */
function textOf(error: Error & { longMessage?: string; errors?: { longMessage?: string }[] }): string {
  return error.errors?.[0]?.longMessage ?? error.longMessage ?? error.message;
}
