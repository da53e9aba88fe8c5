import { useClerk, useUser } from '@clerk/react';
import { useEffect, useRef } from 'react';

import { Settings } from './account/Settings'; // account:
import { useProfile, useSessionToken, type Answer } from './backend';
import type { Config } from './config';
import { Problem } from './Problem';
import { Request } from './Request';
import { Token } from './Token';

export function SignedIn({ config }: { config: Config }) {
  const [answer, ask] = useProfile(config.apiUrl);
  const token = useSessionToken();
  const { user } = useUser(); // account:
  return (
    <div className="columns">
      <div className="stack">
        <Who answer={answer} config={config} />
        <Request answer={answer} apiUrl={config.apiUrl} ask={ask} />
        <Settings key={user?.id} apiUrl={config.apiUrl} ready={answer.kind === 'profile'} /> {/* account: */}
      </div>
      {token && <Token token={token} />}
    </div>
  );
}

/** Who shows who is calling, according to the backend. */
function Who({ answer, config }: { answer: Answer; config: Config }) {
  const heading = useRef<HTMLHeadingElement>(null);
  // Signing in removed the button that had the focus.
  useEffect(() => heading.current?.focus(), []);

  const name = answer.kind === 'profile' ? answer.profile.email || answer.profile.userId : undefined;
  return (
    <section className="card" aria-labelledby="who">
      <h1 id="who" tabIndex={-1} ref={heading}>
        You are signed in
      </h1>
      <div className="stack" role="status">
        {answer.kind === 'asking' && <p className="lead">Asking the backend who you are…</p>}
        {answer.kind === 'profile' && (
          <>
            <p className="lead">
              The backend says that you are <strong className="name">{name}</strong>
              {!answer.profile.email && ', a user without a primary email address'}.
            </p>
            <dl className="profile">
              <div>
                <dt>userId</dt>
                <dd>{answer.profile.userId}</dd>
              </div>
              <div>
                <dt>email</dt>
                <dd>{answer.profile.email || 'none'}</dd>
              </div>
            </dl>
          </>
        )}
        <Problem answer={answer} config={config} />
      </div>
      <Organization />
    </section>
  );
}

/** Organization switches the active organization of a user who is a member of one or more. */
function Organization() {
  const { setActive, organization } = useClerk();
  const { user } = useUser();
  if (!user?.organizationMemberships.length) return null;
  return (
    <p className="field">
      <label htmlFor="organization">Active organization</label>
      <select
        id="organization"
        value={organization?.id ?? ''}
        onChange={(event) => setActive({ organization: event.target.value || null })}
      >
        <option value="">None</option>
        {user.organizationMemberships.map(({ organization, role }) => (
          <option key={organization.id} value={organization.id}>
            {organization.name} ({role.replace('org:', '')})
          </option>
        ))}
      </select>
    </p>
  );
}
