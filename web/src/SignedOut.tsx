import { SignInButton, SignUpButton, useSignIn } from '@clerk/react';
import { useState } from 'react';

import { Breakable } from './Breakable';
import type { Account, Config, FakeClerk } from './config';
import { Path } from './Path';

export function SignedOut({ config }: { config: Config }) {
  return (
    <section className="card columns" aria-labelledby="signed-out">
      <div className="stack">
        <h1 id="signed-out">You are signed out</h1>
        <p className="lead">Sign in with Clerk, and an Encore.go backend tells you who is calling.</p>
        {config.fakeClerk ? <Accounts fakeClerk={config.fakeClerk} /> : <HostedSignIn />}
      </div>
      <Path />
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
                <strong>
                  <Breakable>{account.name}</Breakable>
                </strong>
                <small>{pending === account.userId ? 'Signing in…' : <Breakable>{account.note}</Breakable>}</small>
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
