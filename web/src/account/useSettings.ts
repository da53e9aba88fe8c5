import { useAuth } from '@clerk/react';
import { useEffect, useState } from 'react';

import { call, type Failure } from '../backend';
import type { directory } from '../client';

export type Settings = directory.Settings;
export type Name = Exclude<keyof Settings, 'version'>;

const names: Name[] = ['displayName', 'locale', 'timeZone', 'theme'];

/** Form has the settings that the backend answered last, and the ones that the user is editing. */
export interface Form {
  saved: Settings;
  draft: Settings;
}

/** Outcome is where the last request stands. */
export type Outcome =
  | { kind: 'none' | 'loading' | 'saving' | 'saved' }
  | { kind: 'changed-elsewhere'; before: Settings } // not saved, because the backend had newer settings
  | { kind: 'failed'; reason: string };

/** useSettings loads the settings once the backend is ready, that is, knows the user. It saves them on demand. */
export function useSettings(apiUrl: string, ready: boolean) {
  const { getToken } = useAuth();
  const [{ form, outcome }, setState] = useState<{ form?: Form; outcome: Outcome }>({ outcome: { kind: 'none' } });

  const setOutcome = (outcome: Outcome) => setState(({ form }) => ({ form, outcome }));

  /** take stores what the backend answered. What the user changed since base stays in the draft. */
  function take(answered: Settings, outcome: Outcome, base?: Settings) {
    setState(({ form }) => ({
      form: { saved: answered, draft: { ...answered, ...(form && changes(base ?? form.saved, form.draft)) } },
      outcome,
    }));
  }

  async function load(outcome: Outcome) {
    const answer = await call(apiUrl, getToken, (client) => client.account.GetAccount());
    if (answer.kind === 'result') take(answer.result.settings, outcome);
    else setOutcome({ kind: 'failed', reason: reasonOf(answer) });
  }

  function reload() {
    setOutcome({ kind: 'loading' });
    void load({ kind: 'none' });
  }

  useEffect(() => {
    if (ready && !form) reload();
  }, [ready]);

  return {
    form,
    outcome,
    reload,
    change(name: Name, value: string) {
      setState(({ form, outcome }) => ({
        form: form && { ...form, draft: { ...form.draft, [name]: value } },
        outcome: outcome.kind === 'saved' ? { kind: 'none' } : outcome,
      }));
    },
    discard() {
      setState(({ form }) => ({ form: form && { ...form, draft: form.saved }, outcome: { kind: 'none' } }));
    },
    /** save sends all the settings, with the version that they are based on. */
    async save() {
      if (!form || outcome.kind === 'saving') return;
      const sent = form.draft;
      setOutcome({ kind: 'saving' });
      const answer = await call(apiUrl, getToken, (client) => client.account.SaveSettings(sent));
      if (answer.kind === 'result') take(answer.result, { kind: 'saved' }, sent);
      else if (answer.kind === 'refused' && answer.status === 409) await load({ kind: 'changed-elsewhere', before: form.saved });
      else setOutcome({ kind: 'failed', reason: reasonOf(answer) });
    },
  };
}

/** changes returns the settings of to that differ from from. */
export function changes(from: Settings, to: Settings): Partial<Settings> {
  return Object.fromEntries(names.filter((name) => from[name] !== to[name]).map((name) => [name, to[name]]));
}

function reasonOf(failure: Failure): string {
  return failure.kind === 'unreachable' ? 'The backend does not answer.' : `The backend says “${failure.message}”.`;
}
